"""Commands on runs: /api/v1/runs/{id}/cancel, /replay and /erase."""

from uuid import UUID

from litestar import Controller, Response
from litestar.params import FromPath, JSONBody

from app.accounts.auth import AuthedRequest
from app.commands.runs import Runs
from app.http.api.run_bodies import ReplayIn, ReplayOut
from app.http.inputs import Injected
from app.http.openapi.notes import command
from consumers.jobs.erasures import Erased, Erasures
from domain.run.replay import Replay
from projections.run_detail import RunDetail


class RunCommandController(Controller):
    """Commands on one run."""

    path = "/runs"
    tags = ("Runs",)

    @command("/{run_id:uuid}/cancel", "cancelRun", "Cancel a run", "wrong_status", "busy")
    async def cancel(self, run_id: FromPath[UUID], request: AuthedRequest, runs: Injected[Runs]) -> RunDetail:
        """Ends the run at once. An action that is under way may still have its effect."""
        await runs.cancel(request.user.tenant_id, run_id, request.user.metadata)
        return await runs.detail(request.user.tenant_id, run_id)

    @command(
        "/{run_id:uuid}/replay",
        "replayRun",
        "Run again",
        "wrong_status",
        "invalid",
        status_code=201,
        headers=("Location",),
    )
    async def replay(
        self,
        run_id: FromPath[UUID],
        request: AuthedRequest,
        runs: Injected[Runs],
        data: JSONBody[ReplayIn | None] = None,
    ) -> Response[ReplayOut]:
        """Makes a new run that links to this one. This one does not change."""
        wanted = data or ReplayIn()
        wish = Replay(from_step=wanted.from_step, version=wanted.version, payload=wanted.payload, items=wanted.items)
        new_run, position = await runs.replay(request.user.tenant_id, run_id, wish, request.user.metadata)
        return Response(ReplayOut(new_run, run_id, position), headers={"location": f"/api/v1/runs/{new_run}"})

    @command("/{run_id:uuid}/erase", "eraseRun", "Forget a run's payloads", "wrong_status", "limit_reached")
    async def erase(self, run_id: FromPath[UUID], request: AuthedRequest, erasures: Injected[Erasures]) -> Erased:
        """Takes out of log and lists what the run got, sent and was answered; what happened and when stays.

        With it go the items of its loops, the runs that it called, and its replays. It cannot be taken back. The log
        can still be verified, and proofs hold: hashes stay.
        """
        return await erasures.erase_run(request.user.tenant_id, run_id, request.user.metadata)
