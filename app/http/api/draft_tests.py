"""Tests of drafts: /api/v1/zaps/{id}/test."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody

from app.accounts.auth import AuthedRequest
from app.commands.draft_tests import DraftTests, Effects, TestedDraft, TestWish
from app.commands.samples import Sample, Samples
from app.http.inputs import Injected, Input, StepId
from app.http.openapi.notes import command
from consumers.rehearsal.wish import MOST_ITEMS
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from domain.flow.decisions import Decision, Filtered, Taken
from domain.flow.retry import classes_of
from domain.flow.steps import MAX_ITEMS, OTHERWISE, UNSET, ApprovalStep, FilterStep, PathsStep, Step, Unset
from domain.hook.hops import HEADER
from domain.log.errors import Invalid
from domain.values.json import Json
from domain.values.redaction import shown
from domain.zap.definition import Definition
from projections.step_detail import StepDetail

MAX_STEPS = 100
Index = Annotated[int, msgspec.Meta(ge=0, lt=MAX_ITEMS)]


class TestSample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the draft is tested with: a run of yours, a JSON body, or a request to this zap that started no run."""

    run_id: UUID | Unset = UNSET
    payload: Json | Unset = UNSET
    request_id: UUID | Unset = UNSET

    def __post_init__(self) -> None:
        if sum(one is not UNSET for one in (self.run_id, self.payload, self.request_id)) != 1:
            raise ValueError("a sample has one of run_id, payload and request_id")


class TestIn(Input, frozen=True):
    """A sample; the `steps` to be tested (all, without any); whether actions are really made; and answers by step id.

    A stub is the step's output, or `{"error": {"code", "message"}}`. Of `paths` it is `{"taken": [ids]}`, of a filter
    `{"passes": true}`. `items` are the indexes of those that a loop does, by its id; without them, its first 10.
    """

    sample: TestSample
    steps: Annotated[tuple[StepId, ...], msgspec.Meta(max_length=MAX_STEPS)] = ()
    effects: Effects = "stub"
    stubs: dict[str, Json] = {}  # noqa: RUF012 - a struct's default is copied
    items: dict[str, Annotated[tuple[Index, ...], msgspec.Meta(max_length=MOST_ITEMS)]] = {}  # noqa: RUF012 - the same


class DraftTestController(Controller):
    """Tries a draft before it is published."""

    path = "/zaps"
    tags = ("Zaps",)

    @command(
        "/{zap_id:uuid}/test", "testZap", "Test the draft", "invalid", "wrong_status", "rate_limited", "loop_detected"
    )
    async def test(
        self,
        zap_id: FromPath[UUID],
        request: AuthedRequest,
        draft_tests: Injected[DraftTests],
        samples: Injected[Samples],
        data: JSONBody[TestIn],
    ) -> TestedDraft:
        """Shows what a run of the draft would do, step by step. It is no run: no list has it, and no timer is set.

        With effects `stub` nothing is sent: an action is answered by its stub, else by what the sample's run has on
        record, else by a sample of the connector; `answered_by` says which. A loop does its first 10 items, or those in
        `items`, and shows their steps. Called zaps are never started. With `real`, actions without a stub do call
        their targets, and the log has who tested what. Delays and retries are not waited for. After 30 s the answer has
        what was done by then, and `timed_out`.
        """
        user = request.user
        zap = await draft_tests.draft(user.tenant_id, zap_id)
        given, decided = _stubs(data.stubs, zap.state.draft)
        wish = TestWish(
            effects=data.effects,
            steps=data.steps,
            given=given,
            decided=decided,
            items=data.items,
            depth_header=request.headers.get(HEADER, ""),
        )
        sample = await _sample(samples, user.tenant_id, zap_id, data.sample)
        tested = await draft_tests.test(zap, sample, wish, user.metadata)
        _blot_out(tested.steps)
        return tested


def _blot_out(steps: Sequence[StepDetail]) -> None:
    """Take out secrets."""
    for step in steps:
        step.input, step.output = shown(step.input), shown(step.output)
        for item in step.items or ():
            _blot_out(item.steps)


async def _sample(samples: Samples, tenant_id: UUID, zap_id: UUID, wanted: TestSample) -> Sample:
    if isinstance(wanted.run_id, UUID):
        return await samples.of_run(tenant_id, wanted.run_id)
    if isinstance(wanted.request_id, UUID):
        return await samples.of_request(tenant_id, zap_id, wanted.request_id)
    assert wanted.payload is not UNSET
    return samples.of_payload(wanted.payload)


def _stubs(stubs: Mapping[str, Json], draft: Definition) -> tuple[dict[str, Outcome], dict[str, Decision]]:
    """The answers and the decisions that are given. Raises Invalid."""
    given: dict[str, Outcome] = {}
    decided: dict[str, Decision] = {}
    for step_id, stub in stubs.items():
        step = draft.step(step_id)
        if step is None:
            raise _invalid(step_id, "the draft has no such step")
        found = _stub(step, stub)
        if isinstance(found, Filtered | Taken):
            decided[step_id] = found
        else:
            given[step_id] = found
    return given, decided


def _stub(step: Step, stub: Json) -> Outcome | Decision:
    error = stub["error"] if isinstance(stub, dict) and set(stub) == {"error"} else None
    if error is not None:
        return _failure(step, error)
    match step:
        case FilterStep():
            passes = stub.get("passes") if isinstance(stub, dict) else None
            if not isinstance(passes, bool):
                raise _invalid(step.id, 'a filter takes {"passes": true} or {"passes": false}')
            return Filtered(passes=passes, reason="given for this test")
        case PathsStep():
            return _taken(step, stub)
        case ApprovalStep():
            if not isinstance(stub, dict) or stub.get("decision") not in ("approve", "reject"):
                raise _invalid(step.id, 'an approval takes {"decision": "approve"} or {"decision": "reject"}')
            return Succeeded({"by": "the test", "comment": "", "form": {}, **stub})
        case _:
            return Succeeded(stub)


def _taken(step: PathsStep, stub: Json) -> Taken:
    known = [*(path.id for path in step.paths), *([OTHERWISE] if step.otherwise else [])]
    taken = stub.get("taken") if isinstance(stub, dict) else None
    if not isinstance(taken, list) or not all(isinstance(one, str) and one in known for one in taken):
        raise _invalid(step.id, f'paths take {{"taken": [ids]}}, of {", ".join(known)}')
    ids = tuple([one for one in known if one in taken])
    return Taken(taken=ids, reasons=dict.fromkeys(known, "the test says which paths are taken"))


def _failure(step: Step, error: Json) -> Outcome:
    """The failure of an attempt: such as may heal are tried again, as the step's policy has it."""
    fields = {"message": error} if isinstance(error, str) else error
    if not isinstance(fields, dict) or not set(fields) <= {"code", "message", "output"}:
        raise _invalid(step.id, "an error is a text, or {code, message, output}")
    code, message = fields.get("code", "stubbed"), fields.get("message", "the test has it fail")
    if not isinstance(code, str) or not isinstance(message, str) or not code:
        raise _invalid(step.id, "code and message of an error are texts")
    kind = Retry if classes_of(code) and not code.startswith("http_4") else Failed
    return kind(code=code, message=message, output=fields.get("output"))


def _invalid(step_id: str, reason: str) -> Invalid:
    path = f"stubs.{step_id}"
    return Invalid(f"{path}: {reason}", errors=[{"path": path, "reason": reason}])
