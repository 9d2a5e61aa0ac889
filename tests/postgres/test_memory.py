"""What zaps remember: nobody's change is lost, no step changes twice, no tenant sees or fills another's room."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from consumers.connectors import catalog
from consumers.scheduler.housekeeping import Housekeeping
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpClient, HttpReply, HttpRequest
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.memory.changes import OVERHEAD, Add, Put, Unremembered
from domain.memory.memory import Memory, Place
from domain.values.json import Json
from sql.postgres.pool import Pool, create_pool
from sql.tables.memories import MemoryTables
from tests.support.clock import FixedClock

ADA, BOB, ZAP, OTHER = (UUID(int=n) for n in range(1, 5))
HERE = Place("zap", "k")


class Tables:
    """The memories of one database, and a clock."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.clock = FixedClock()

    def of(self, tenant: UUID = ADA, zap: UUID = ZAP) -> Memory:
        return MemoryTables(self.pool, self.clock).of(tenant, zap)

    async def do(self, type_: str, step: str, memory: Memory | None = None, **config: Json) -> Outcome:
        http: HttpClient = None  # type: ignore[assignment]  # nothing is sent
        context = ActionContext(http, f"run.{step}", UUID(int=9), self.clock, memory=memory or self.of())
        return await catalog().actions[type_].run(config, context)

    async def bytes(self) -> int:
        found = await self.pool.fetchval("select bytes from proj.memory_totals where tenant_id = $1", ADA)
        return int(found or 0)


@pytest.fixture
async def tables(dsn: str) -> AsyncIterator[Tables]:
    async with create_pool(dsn, "test", 5) as pool:
        yield Tables(pool)


async def test_changes_at_once_are_all_made_and_each_once(tables: Tables) -> None:
    """Every step comes twice, as after a crash between the change and its record."""
    steps = [f"run{number % 50}.count" for number in range(100)]
    await asyncio.gather(*(tables.of().change(HERE, Add(1), step) for step in steps))
    found = await tables.of().get(HERE)
    assert found is not None
    assert found.value == 50
    assert (await tables.of().change(HERE, Add(1), "run0.count"))["value"] in range(1, 51)


async def test_of_those_who_compare_and_set_one_wins(tables: Tables) -> None:
    changes = [tables.of().change(HERE, Put(number, if_version=0), f"{number}.s") for number in range(10)]
    found = await asyncio.gather(*changes)
    assert [output["stored"] for output in found].count(True) == 1
    winner = next(number for number, output in enumerate(found) if output["stored"])
    assert all(output["value"] == winner for output in found if not output["stored"])


async def test_a_memory_is_the_zaps_or_the_workspaces_and_nobody_elses(tables: Tables) -> None:
    shared = Place("workspace", "k")
    await tables.of().change(HERE, Put("zap"), "1")
    await tables.of().change(shared, Put("all"), "2")
    other = await tables.of(ADA, OTHER).get(shared)
    assert other is not None
    assert other.value == "all"
    assert await tables.of(ADA, OTHER).get(HERE) is None
    assert await tables.of(BOB, ZAP).get(HERE) is None
    assert await tables.of(BOB, ZAP).get(shared) is None


async def test_the_steps_of_the_catalog_remember(tables: Tables) -> None:
    assert await tables.do("store.set", "a", key="k", value={"n": "\0é"}) == Succeeded({"stored": True, "version": 1})
    read = await tables.do("store.get", "b", key="k")
    assert read == Succeeded({"found": True, "value": {"n": "\0é"}, "version": 1, "expires_at": None})
    failed = await tables.do("store.increment", "c", key="k")
    assert isinstance(failed, Failed)
    assert failed.code == "not_a_number"
    assert await tables.do("store.append", "d", key="l", value=1) == Succeeded({"length": 1, "version": 2})
    assert await tables.do("store.delete", "e", key="k", if_version=9) == Succeeded(
        {"deleted": False, "value": {"n": "\0é"}, "version": 1}
    )
    assert await tables.do("store.delete", "f", key="k", if_version=1) == Succeeded({"deleted": True})
    assert (await tables.do("store.get", "g", key="k", default=5)) == Succeeded(
        {"found": False, "value": 5, "version": 0, "expires_at": None}
    )
    bad = await tables.do("store.set", "h", key="", value=1)
    assert isinstance(bad, Failed)
    assert bad.code == "bad_config"


class Model:
    """A model whose answers each have an id, and took a million tokens."""

    def __init__(self) -> None:
        self.asked = 0

    async def request(self, _request: HttpRequest) -> HttpReply:
        self.asked += 1
        usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
        choice = {"message": {"content": "Hi"}, "finish_reason": "stop"}
        body = {"id": f"chatcmpl-{self.asked}", "model": "m", "choices": [choice], "usage": usage}
        return HttpReply(status=200, headers={}, body=msgspec.json.encode(body))


async def test_what_models_cost_counts_for_the_zap_and_its_month(tables: Tables) -> None:
    model, prices = Model(), dict[str, Json](input=0.1, output=0)
    given: dict[str, Json] = {"model": "m", "prompt": "?", "prices": prices, "monthly_budget": 0.3}

    async def ask(step: str, zap: UUID = ZAP) -> Outcome:
        context = ActionContext(model, f"run.{step}", UUID(int=9), tables.clock, memory=tables.of(ADA, zap))
        return await catalog().actions["llm.chat"].run(given, context)

    first = await asyncio.gather(*(ask(step) for step in "abb"))  # b is tried again, and costs again
    assert [type(one) for one in first] == [Succeeded] * 3
    spent = await ask("c")  # three tenths are 0.3 here, not 0.30000000000000004 or less
    assert isinstance(spent, Failed)
    assert spent.code == "budget_spent"
    assert model.asked == 3
    assert isinstance(await ask("c", OTHER), Succeeded)
    tables.clock.advance(31 * 86_400)
    assert isinstance(await ask("d"), Succeeded)


async def test_items_that_a_run_has_had_are_dropped_in_later_runs(tables: Tables) -> None:
    async def fresh(run: str, *items: int) -> Json:
        outcome = await tables.do("data.dedupe", f"{run}", items=list(items), scope="zap", window_s=60, name="n")
        assert isinstance(outcome, Succeeded)
        assert isinstance(outcome.output, dict)
        assert "keys" not in outcome.output
        return outcome.output["items"]

    assert await fresh("a", 1, 2, 2) == [1, 2]
    assert await fresh("b", 2, 3) == [3]
    assert await fresh("a", 1, 2) == [1, 2]  # tried again after a crash
    tables.clock.advance(60)
    assert await fresh("c", 1, 3) == [1, 3]


async def test_a_workspace_has_room_for_so_much_and_gets_it_back(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sql.tables.memories.MAX_BYTES", 2_000)
    await tables.of().change(HERE, Put("x" * 800, ttl_s=60), "1")
    with pytest.raises(Unremembered) as raised:
        await tables.of().change(Place("zap", "l"), Put("x" * 1_200), "2")
    assert raised.value.code == "memory_full"
    assert await tables.of().get(Place("zap", "l")) is None
    await tables.of(BOB).change(HERE, Put("x" * 1_200), "3")
    before = await tables.bytes()
    await tables.of().change(HERE, Put("y" * 800, ttl_s=60), "4")
    assert await tables.bytes() == before
    await tables.of().first(HERE, [b"k" * 16], timedelta(seconds=60), "5")
    assert await tables.bytes() == before + OVERHEAD
    tables.clock.advance(60)
    chores = Housekeeping(tables.pool, lambda: datetime.fromisoformat(tables.clock().isoformat()), timedelta(days=90))
    await chores._prune_memory(asyncio.Event())
    assert await tables.bytes() == 0
    await tables.of().change(Place("zap", "l"), Put("x" * 1_200), "6")


async def test_while_the_database_is_away_the_step_is_tried_again(tables: Tables) -> None:
    async with create_pool("postgresql://127.0.0.1:1/none", "test", 1) as nowhere:
        memory = MemoryTables(nowhere, tables.clock).of(ADA, ZAP)
        outcome = await tables.do("store.get", "a", memory, key="k")
        seen = await tables.do("data.dedupe", "a", memory, items=[1], scope="zap")
    assert isinstance(outcome, Retry)
    assert isinstance(seen, Retry)
