"""Commands on runs: /api/v1/runs/{id}/cancel and /replay."""

from uuid import UUID

import msgspec
from litestar import Controller, Response, post
from litestar.params import FromPath, JSONBody

from app.accounts.auth import AuthedRequest
from app.commands.runs import Runs
from app.http.inputs import Injected, Input, StepId
from app.http.openapi.notes import notes
from domain.run.replay import Replay, ReplayVersion
from domain.values.json import Json
from projections.run_detail import RunDetail


class ReplayIn(Input, frozen=True):
    """How to run again: all steps, or those from one on; on the version it had, or today's; with another body."""

    from_step: StepId | None = None
    version: ReplayVersion = "original"
    payload: Json | msgspec.UnsetType = msgspec.UNSET


class ReplayOut(msgspec.Struct, frozen=True):
    """The new run, and where its request is in the log."""

    id: UUID
    replay_of: UUID
    position: int


class RunCommandController(Controller):
    """What a user can do about a run."""

    path = "/runs"
    tags = ("Runs",)

    @post(
        "/{run_id:uuid}/cancel",
        status_code=200,
        summary="Cancel a run",
        operation_id="cancelRun",
        opt=notes("wrong_status"),
    )
    async def cancel(self, run_id: FromPath[UUID], request: AuthedRequest, runs: Injected[Runs]) -> RunDetail:
        """Ends it at once, whatever it waits for. An action that is under way may still have its effect."""
        await runs.cancel(request.user.tenant_id, run_id, request.user.metadata)
        return await runs.detail(request.user.tenant_id, run_id)

    @post(
        "/{run_id:uuid}/replay",
        status_code=201,
        summary="Run again",
        operation_id="replayRun",
        opt=notes("wrong_status", "invalid", headers=("Location",)),
    )
    async def replay(
        self,
        run_id: FromPath[UUID],
        request: AuthedRequest,
        runs: Injected[Runs],
        data: JSONBody[ReplayIn | None] = None,
    ) -> Response[ReplayOut]:
        """Makes a new run that links to this one, which stays as it is."""
        wanted = data or ReplayIn()
        wish = Replay(from_step=wanted.from_step, version=wanted.version, payload=wanted.payload)
        new_run, position = await runs.replay(request.user.tenant_id, run_id, wish, request.user.metadata)
        return Response(ReplayOut(new_run, run_id, position), headers={"location": f"/api/v1/runs/{new_run}"})
