"""Makes one attempt of an action: renders its config, runs it within its time limit, and gives the outcome."""

import asyncio
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog

from consumers.credentials.armed import Armed
from consumers.credentials.credentials import Credentials
from consumers.definitions import CompiledVersion, Runnable
from consumers.dialogues.dialogues import Dialogues
from consumers.files.run_files import FilesOf
from consumers.outbound.targets import Targets
from consumers.rendering.rendering import Rendering
from domain.connection.blot import NOTHING, Blot
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import Unreachable
from domain.connector.outcome import Failed, Outcome, Retry, unkept, unreached
from domain.files.file import FileError
from domain.flow.steps import ActionStep, OnUnknown
from domain.hook.hops import Hop, Hops
from domain.language.scope import Context, Heavy
from domain.language.template import TemplateError
from domain.log.ports import Clock
from domain.memory.memory import Memories
from domain.run.inputs import Input, is_large, keep
from domain.run.state import ActiveRun, LoadedRun, idempotency_key
from domain.values.json import Json, JsonObject

log = structlog.get_logger()
MAX_ATTEMPT_S = 3_600.0
"""Of a step that sets no `timeout_s`; the actions have shorter limits of their own."""


class Attempts:
    """The actions of the catalog, and how to interrupt those under way."""

    def __init__(
        self,
        targets: Targets,
        clock: Clock,
        *,
        hops: Hops,
        rendering: Rendering,
        memories: Memories,
        credentials: Credentials | None,
        dialogues: Dialogues | None,
        files: FilesOf | None,
    ) -> None:
        self._files = files
        self._dialogues = dialogues
        self._credentials = credentials
        self._hops = hops
        self._memories = memories
        self._rendering = rendering
        self._targets = targets
        self._clock = clock
        self._timers: dict[UUID, asyncio.Timeout] = {}

    def on_unknown(self, step: ActionStep, version: CompiledVersion) -> OnUnknown:
        """What happens after an attempt that may or may not have had its effect."""
        action = version.actions.get(step.type)
        return step.unknown_outcome or ("retry" if action is None or action.idempotent else "fail")

    def is_announced(self, step: ActionStep, version: CompiledVersion) -> bool:
        """Whether an attempt is recorded before it is made, so that one cut short by a crash is noticed."""
        action = version.actions.get(step.type)
        return bool(step.unknown_outcome) or (action is not None and not action.idempotent)

    def render_quick(self, step: ActionStep, version: CompiledVersion, context: Context) -> Json | Failed | None:
        """The step's config with its templates replaced; None where that is too much work for an event loop."""
        try:
            return version.renderers[step.id].quick(context, self._clock())
        except Heavy:
            return None
        except TemplateError as error:
            return _failed(error)

    async def render(
        self, tenant_id: UUID, step: ActionStep, version: CompiledVersion, context: Context
    ) -> Json | Failed:
        """The same, however much work that is."""
        try:
            return await self._rendering.render(tenant_id, version.renderers[step.id], context, self._clock())
        except TemplateError as error:
            return _failed(error)

    def calls_out(self, step: ActionStep, version: CompiledVersion) -> bool:
        """Whether the step sends its config to somebody else: only then it may hold what is secret."""
        action = version.actions.get(step.type)
        return action is not None and action.takes_connection

    async def kept(self, run: ActiveRun, config: Json, context: dict[str, Json], blot: Blot = NOTHING) -> Input:
        """The rendered config as the log is to keep it. A large one is reduced in a thread."""
        config = blot.json(config) if blot else config
        if not is_large(config):
            return Input(config)
        steps = context["steps"]
        own = {name: value for name, value in steps.items() if name in run.outputs} if isinstance(steps, dict) else {}
        return await asyncio.to_thread(keep, config, {**context, "steps": own}, run.room_for_input)

    async def make(
        self,
        run: LoadedRun,
        step: ActionStep,
        version: CompiledVersion,
        config: Json,
        *,
        blot: Blot = NOTHING,
    ) -> Outcome:
        """Run the action. Never raises: a connector's bug becomes the run's visible failure.

        `blot`: what no file may keep.
        """
        run_id, tenant_id, action = run.id, run.tenant_id, version.actions.get(step.type)
        if action is None:
            return Failed(code="unknown_action", message=f"no connector offers {step.type}")
        if not isinstance(config, dict):
            return Failed(code="template", message="the config is not an object")
        assert isinstance(run.state, ActiveRun), "it has a step to do"
        http = self._targets.of(tenant_id, step.rate_limit.per_minute if step.rate_limit else None)
        armed = Armed(http, self._credentials, tenant_id, step.connection) if step.connection else None
        requested = run.state.requested
        hop = self._hops.write(Hop(requested.depth + 1, requested.zap_id, requested.via))
        context = ActionContext(
            armed or http,
            idempotency_key(run_id, step.id),
            run_id,
            self._clock,
            hop,
            account=armed.account if armed else None,
            dialogue=self._dialogues.of(tenant_id) if self._dialogues else None,
            shape=partial(self._shape, tenant_id),
            memory=self._memories(tenant_id, requested.zap_id),
            files=self._files.of(tenant_id, run_id, requested, blot) if self._files else None,
        )
        limit_s = self._limit_s(step, requested.deadline)
        timer = asyncio.timeout(limit_s)
        try:
            async with timer:
                self._timers[run_id] = timer
                outcome = await action.run(config, context)
                return armed.blotted(outcome) if armed else outcome
        except Unreachable as error:
            return armed.blotted(unreached(error)) if armed else unreached(error)
        except FileError as error:
            return unkept(error)
        except TimeoutError as error:
            if timer.expired():
                return Retry(code="timeout", message=f"the step had not ended after {limit_s:g} s")
            return _crashed(action, run_id, step, error)
        except Exception as error:  # noqa: BLE001 - logged below; a run must never be stuck with it
            return _crashed(action, run_id, step, error)
        finally:
            self._timers.pop(run_id, None)

    def interrupt(self, run_id: UUID) -> None:
        """Stop the action of a run that has ended meanwhile, if one is under way here."""
        timer = self._timers.get(run_id)
        if timer is not None and not timer.expired():
            timer.reschedule(asyncio.get_running_loop().time())

    async def _shape(self, tenant_id: UUID, type_: str, config: JsonObject) -> Json:
        return await self._rendering.shape(tenant_id, type_, config, self._clock())

    def _limit_s(self, step: ActionStep, deadline: datetime | None) -> float:
        limit_s = step.timeout_s or MAX_ATTEMPT_S
        if deadline is None:
            return limit_s
        return max(0.0, min(limit_s, (deadline - self._clock()).total_seconds()))


def _crashed(action: Runnable, run_id: UUID, step: ActionStep, error: Exception) -> Retry:
    log.error("action.crashed", run_id=str(run_id), step_id=step.id, action=action.type, exc_info=error)
    return Retry(code="crashed", message=f"the action crashed: {type(error).__name__}")


def _failed(error: TemplateError) -> Failed:
    return Failed(code=error.code, message=f"config{error.path}: {error.message}")
