"""The operator's verbs: what is over is shown, archived, dropped, and brought back."""

from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from app.cli import retaining
from app.config.errors import OperatorError
from app.config.settings import Secret, Settings
from domain.hook.request import json_request
from domain.run import events as run
from projections.engine.engine import Engine
from projections.engine.freshness import wait_until
from projections.engine.registry import BY_THEMSELVES
from sql.log.event_store import PgEventStore
from sql.log.verify import verify_chain
from sql.process.clock import new_id
from tests.support.api import Person, zap_body
from tests.support.projected import append, following, tamper


async def test_an_operator_sees_what_would_go_and_brings_it_back(
    ada: Person, dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = zap_body() | {"settings": {"retention": {"completed_days": 30}}}
    zap = (await ada("POST", "/zaps", json=body)).json()
    assert (await ada("POST", f"/zaps/{zap['id']}/publish")).status_code == 200
    await tamper(dsn, "select es.make_month('events_run', '2025-03-01')")
    settings = Settings(database_url=Secret(dsn))
    async with PgEventStore(dsn, "test") as store, following(dsn, store), Engine(dsn, BY_THEMSELVES, 1) as engine:
        await engine.start()
        run_id = UUID(
            int=int(datetime.fromisoformat("2025-03-09T00:00Z").timestamp() * 1e3) << 80 | new_id().int % 2**80
        )
        started = run.RunRequested(zap_id=UUID(zap["id"]), zap_version=1, source="webhook", request=json_request({}))
        await append(store, run_id, started, run.RunCompleted(), tenant_id=UUID(ada.id), key=run_id)
        assert await wait_until(store.pool, "run_list", await store.head(), 10)
        await retaining.retention(settings, dry_run=True)
        said = capsys.readouterr().out
        assert f"2025-03 workspace {ada.id} zap {zap['id']}: 1 completed" in said
        assert (await ada("GET", f"/runs/{run_id}")).status_code == 200
        with pytest.raises(OperatorError, match="Say where"):
            await retaining.archive(settings, datetime(2025, 3, 1), None, drops=False)  # noqa: DTZ001 - as click gives it
        await retaining.retention(msgspec.structs.replace(settings, archive=str(tmp_path)), dry_run=False)
        assert "dropped" in capsys.readouterr().out
        assert (await ada("GET", f"/runs/{run_id}")).status_code == 404
        (file,) = tmp_path.iterdir()
        audit = (await ada("GET", f"/audit?type=runs.dropped&min_position={await store.head()}")).json()["items"]
        assert [entry["summary"] for entry in audit] == ["retention dropped 1 runs of 2025-03, whose time was over"]
        await retaining.bring_back(settings, file.name, str(tmp_path))
        assert (await ada("GET", f"/runs/{run_id}")).status_code == 200
        with pytest.raises(OperatorError, match="no file"):
            await retaining.bring_back(settings, "nothing", str(tmp_path))
        await retaining.archive(settings, datetime(2025, 3, 1), str(tmp_path / "new"), drops=True)  # noqa: DTZ001 - same
        assert (await ada("GET", f"/runs/{run_id}")).status_code == 404
        with pytest.raises(OperatorError, match="No run of"):
            await retaining.archive(settings, datetime(2025, 3, 1), str(tmp_path), drops=True)  # noqa: DTZ001 - same
    assert (await verify_chain(dsn)).broken_at is None
