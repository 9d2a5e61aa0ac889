"""Large files from a webhook and a download, sent as a form and stored in S3: how long, and in how much memory."""

import time

from tests.benchmarks.support import Report, Row, database_settings
from tests.support.file_journey import digest, file_target, forget_peak, journey, peak, post_file
from tests.support.folders import DISK
from tests.support.object_store import object_store
from tests.support.system import running_system

SIZE = 200 * 2**20
WARM_UP = 2 * 2**20
PATIENCE_S = 600


async def run(*, quick: bool) -> Report:
    """Seconds, and the highest memory of API and runner meanwhile, above what they have had before."""
    size = SIZE // 10 if quick else SIZE
    rows = []
    async with running_system(DISK) as system, file_target(size) as target, object_store() as (store, objects):
        await system.sign_up()
        hook = (await journey(system, target.address, store))["hook_url"]
        await system.settled([await post_file(system, hook, WARM_UP)], PATIENCE_S)
        pids = system.pids()
        before = {role: forget_peak(pids[role]) for role in ("api", "runner")}
        began = time.perf_counter()
        run_id = await post_file(system, hook, size)
        posted = time.perf_counter()
        await system.settled([run_id], PATIENCE_S)
        ended = time.perf_counter()
        assert set(target.uploads[-1].values()) >= {digest(size)}
        assert len(objects["/bucket/a.zip"]) == size
        for what, seconds, moved in (("webhook, until its answer", posted - began, 1), ("run", ended - posted, 4)):
            rate = size * moved / 2**20 / seconds
            rows.append(Row(what=what, rate=rate, unit="MiB/s", note=f"{seconds:.1f} s, {moved} × {size >> 20} MiB"))
        for role, had in before.items():
            more = peak(pids[role]) - had
            rows.append(
                Row(what=f"{role}, highest memory", rate=more / 2**20, unit="MiB more", note=f"{had >> 20} before")
            )
        settings = (
            f"{await database_settings(system.dsn)}; `up` with embedded servers, files in the database. The run "
            "downloads a file of that size, sends it with the webhook's as a form, and stores it in S3; target and S3 "
            "are in the process that measures."
        )
    return Report(settings, rows)
