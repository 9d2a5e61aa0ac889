"""Rendering for one role: substitutions here and now, everything else in a small pool of processes that can be killed.

The pool starts with the first job that needs it. Tenants take turns: one that keeps the processes busy makes others
wait for one job each, and not for all of its own.
"""

from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from consumers.rendering.frames import (
    MAX_FRAME,
    Answer,
    Check,
    Checked,
    Decide,
    Decided,
    Job,
    Render,
    Rendered,
    Shape,
    Shaped,
    TooMuch,
    Wrong,
)
from consumers.rendering.process import Died, Process
from domain.data.operation import Unfit
from domain.language import condition
from domain.language.scope import Context, Heavy
from domain.language.spelling import as_json
from domain.language.template import Compiled, TemplateError, TooMuchWork
from domain.values.json import Json, JsonObject
from sql.process.sharing import Crowded, Shared

log = structlog.get_logger()

PROCESSES = 2
MAX_WAITING = 200
"""Jobs of one tenant that wait for their turn."""
QUICK_RULES = 200_000
"""Rules times characters up to which a condition is evaluated in place: about a millisecond."""

_answers: "msgspec.json.Decoder[Answer]" = msgspec.json.Decoder(Answer)


class Rendering:
    """Renders templates and evaluates conditions for a role. Close it when the role stops."""

    def __init__(self, processes: int = PROCESSES, most_waiting: int = MAX_WAITING) -> None:
        self._all = tuple(Process("consumers.rendering.worker") for _ in range(processes))
        self._processes = Shared(self._all, most_waiting)
        self._most_waiting = most_waiting

    async def render(self, tenant_id: UUID, template: Compiled, context: Context, now: datetime) -> Json:
        """The config without templates. Raises TemplateError; TooMuchWork where it would take too much."""
        try:
            return template.quick(context, now)
        except Heavy:
            return await self.render_apart(tenant_id, template, context, now)

    async def render_apart(self, tenant_id: UUID, template: Compiled, context: Context, now: datetime) -> Json:
        """The same, always in a process of the pool."""
        answer = await self._ask(tenant_id, Render(template.source, dict(context), now))
        match answer:
            case Rendered(value):
                return value
            case Wrong(message, path):
                raise TemplateError(message, path)
            case TooMuch(message):
                raise TooMuchWork(message)
        raise TypeError(answer)

    async def settle(
        self, tenant_id: UUID, wanted: condition.Condition, raw: Json, context: Context
    ) -> condition.Decision:
        """The result of a condition; `raw` is its source. Raises TooMuchWork."""
        if condition.cost(wanted, context, QUICK_RULES) <= QUICK_RULES:
            return condition.explain(wanted, context)
        answer = await self._ask(tenant_id, Decide(raw, dict(context)))
        if isinstance(answer, Decided):
            return answer.decision
        raise TooMuchWork(
            answer.message if isinstance(answer, TooMuch | Wrong) else "the condition takes too much work"
        )

    async def check(self, tenant_id: UUID, schema: JsonObject, value: Json) -> tuple[tuple[str, str], ...]:
        """Where and how a value breaks a JSON Schema, as JSON pointers and reasons. Raises TooMuchWork.

        Always in a process: references let a small schema take longer than anybody lives.
        """
        answer = await self._ask(tenant_id, Check(schema, value))
        if isinstance(answer, Checked):
            return answer.violations
        raise TooMuchWork(answer.message if isinstance(answer, TooMuch | Wrong) else "the schema takes too much work")

    async def shape(self, tenant_id: UUID, type_: str, config: JsonObject, now: datetime) -> Json:
        """The output of a data step, worked out in a process. Raises Unfit; TooMuchWork where it takes too much."""
        answer = await self._ask(tenant_id, Shape(type_, config, now))
        match answer:
            case Shaped(value):
                return value
            case Wrong(message):
                raise Unfit(message)
            case TooMuch(message):
                raise TooMuchWork(message)
        raise TypeError(answer)

    async def aclose(self) -> None:
        """End the processes; jobs under way fail."""
        for process in self._all:
            await process.aclose()

    async def _ask(self, tenant_id: UUID, job: Job) -> Answer:
        try:
            async with self._processes.one(tenant_id) as process:
                frame = as_json(job).encode()  # only now: those that wait need no copies of their data
                if len(frame) > MAX_FRAME:
                    return TooMuch(f"this takes more than {MAX_FRAME:,} bytes of data")
                return _answers.decode(await self._answer(process, frame))
        except Crowded:
            raise TooMuchWork(f"more than {self._most_waiting} templates of this account wait to be rendered") from None

    async def _answer(self, process: Process, frame: bytes) -> bytes:
        try:
            return await process.ask(frame)
        except Died as died:
            log.info("rendering.process_ended", reason=str(died), killed_by_limit=died.by_limit)
            if not died.by_limit:
                try:  # it may have ended by itself, or after the previous job
                    return await process.ask(frame)
                except Died as again:
                    died = again
        return msgspec.json.encode(TooMuch("this takes more CPU time or memory than it may"))
