"""The application's role: everything the processes do, and nothing to the log but appending."""

from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import quote, urlsplit
from uuid import UUID

import asyncpg
import pytest

from consumers.scheduler.housekeeping import Housekeeping
from domain.log.event import StreamKind
from projections.audit import AUDIT
from projections.engine.rebuild import rebuild
from projections.engine.registry import PROJECTIONS
from projections.engine.verify import verify_read_models
from projections.request_list import REQUEST_LIST
from projections.stats import STATS
from projections.tick_list import TICK_LIST
from sql.postgres.migrate import AppRoleRefused, let_app_log_in
from sql.postgres.pool import Connection, connect
from sql.process.clock import now
from sql.proof.verify import verify_chain
from tests.support.builders import a_run_requested, an_append
from tests.support.chain import assert_log_is_whole
from tests.support.projected import tamper
from tests.support.stores import patient_store


@pytest.fixture
async def app_dsn(dsn: str) -> str:
    """The same database as the application's role."""
    owner = await connect(dsn, "test")
    await owner.execute("alter role triggerhub_app login password 'app'")
    await owner.close()
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"triggerhub_app:app@{parts.hostname}:{parts.port}").geturl()


@pytest.fixture
async def app(app_dsn: str) -> AsyncIterator[Connection]:
    connection = await connect(app_dsn, "test")
    yield connection
    await connection.close()


async def test_it_appends_and_reads(app_dsn: str, dsn: str) -> None:
    async with patient_store(app_dsn) as store:
        for _ in range(3):
            await store.append(an_append(a_run_requested()))
        assert len(await store.read_log(0, 10)) == 3
        await store.pool.execute("select es.ensure_run_months(4)")
    assert len(await assert_log_is_whole(dsn)) == 3


@pytest.mark.parametrize(
    "statement",
    [
        "insert into es.events select * from es.events",
        "update es.events set data = ''",
        "delete from es.events",
        "truncate es.events",
        "insert into es.commits values (9, 8, now(), '')",
        "update es.commits set hash = ''",
        "delete from es.commits",
        "delete from es.timers",
        "insert into es.timers select * from es.timers",
        "drop table es.events",
        "alter table es.events disable trigger append_only",
        "set session_replication_role = replica",
        "create or replace function es.refuse_change() returns trigger language plpgsql as 'begin return new; end'",
        "insert into public.triggerhub_migrations values ('9', '', now())",
        "create schema mine",
        "select es.grant_app()",
        "select es.drop_run_month('2026-01-01')",
        "select es.drop_request_month(current_date)",
        "select es.make_month('events_core', '2026-01-01')",
    ],
)
async def test_it_may_not_touch_the_log(app: Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(statement)


async def test_it_drops_months_of_requests_that_are_old(dsn: str, app_dsn: str) -> None:
    await tamper(dsn, "select es.make_month('events_request', '2020-01-01')")
    for projection in (REQUEST_LIST, STATS, TICK_LIST, AUDIT):
        await rebuild(app_dsn, projection, 2)
    async with patient_store(app_dsn) as store:
        old = UUID("016f7000-0000-7000-8000-000000000001")
        await store.append(an_append(a_run_requested(), kind=StreamKind.REQUEST, stream_id=old))
        await Housekeeping(store.pool, now, timedelta(days=90))._drop_requests()
        assert await store.read_stream(StreamKind.REQUEST, old) == []
    assert (await verify_chain(dsn)).broken_at is None


async def test_it_rebuilds_read_models_again_and_again(app_dsn: str) -> None:
    for projection in PROJECTIONS:
        for _ in range(3):
            await rebuild(app_dsn, projection, 2)


async def test_what_the_owner_built_becomes_its_with_the_next_grant(dsn: str, app_dsn: str) -> None:
    projection = PROJECTIONS[0]
    await rebuild(dsn, projection, 2)
    owner = await connect(dsn, "test")
    assert await owner.fetchval("select es.grant_app()")
    await owner.close()
    await rebuild(app_dsn, projection, 2)


async def test_migrate_lets_it_log_in_and_hands_it_what_the_owner_built(dsn: str) -> None:
    projection = PROJECTIONS[0]
    await rebuild(dsn, projection, 2)
    parts = urlsplit(dsn)
    for password in ("first", 'it\'s "%second%" \\ $1'):
        await let_app_log_in(dsn, password)
        app_dsn = parts._replace(
            netloc=f"triggerhub_app:{quote(password, safe='')}@{parts.hostname}:{parts.port}"
        ).geturl()
        await rebuild(app_dsn, projection, 2)
        assert (await verify_chain(app_dsn)).broken_at is None
        assert await verify_read_models(app_dsn, PROJECTIONS[:1], 2) == []


async def test_it_may_not_let_itself_log_in(app_dsn: str) -> None:
    with pytest.raises(AppRoleRefused):
        await let_app_log_in(app_dsn, "x")


async def test_a_stranger_sees_nothing(dsn: str) -> None:
    owner = await connect(dsn, "test")
    try:
        for function in ("es.append", "es.grant_app", "proj.create_build_schema"):
            query = "select has_function_privilege('pg_monitor', $1::text::regproc, 'execute')"
            assert not await owner.fetchval(query, function)
        assert not await owner.fetchval("select has_table_privilege('pg_monitor', 'es.events', 'select')")
    finally:
        await owner.close()
