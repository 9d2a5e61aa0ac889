"""Tries each action of a file against a stand-in: what goes over the wire, and what becomes of each kind of answer."""

from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from consumers.connectors.http.config import DEFAULT_BYTES
from consumers.outbound.client import Outbound
from consumers.trial.stand_in import StandIn
from domain.connector.descriptor import ActionContext, ActionDescriptor
from domain.connector.outcome import Failed, Outcome, Postponed, Retry, Succeeded
from domain.declared.action import NO_OUTPUT, Declared, Perform, descriptor
from domain.declared.fields import schema_of, schema_of_fields
from domain.declared.file import ErrorRule, When
from domain.declared.given import sample_of
from domain.log.ports import Clock
from domain.starting.registering import Registering
from domain.values.json import Json, JsonObject
from domain.values.path import parse_path

KEY = "run.step"
"""The idempotency key of all tries."""
HOOK: JsonObject = {
    "url": "https://hub.example.com/hooks/catch/1/2",
    "name": "triggerhub-2",
    "secret": "whsec",
    "id": "17",
}
"""The hook that services are told of."""
SHORT_S = 0.05
"""How long a try waits for the answer that does not come."""
RETRY_AFTER_S = 7.0


class Tried(msgspec.Struct, frozen=True):
    """One case: what was expected of an action, and what came of it."""

    action: str
    case: str
    expected: str
    got: str

    @property
    def holds(self) -> bool:
        """Whether the action does what it should."""
        return self.got == self.expected or (self.expected == "succeeded" and self.got.startswith("succeeded "))


class Trial:
    """The actions of a file, one stand-in, and a client that may call it."""

    def __init__(
        self, actions: list[Declared], stand_in: StandIn, http: Outbound, perform: Perform, clock: Clock
    ) -> None:
        self._actions = actions
        self._stand_in = stand_in
        self._perform = perform
        self._host = ""
        self._timeout_s: float | None = None
        self._context = ActionContext(http, KEY, UUID(int=1), clock)

    async def wire(self) -> dict[str, dict[str, Json]]:
        """What each action sends, by its id: the snapshot that a reviewer reads."""
        shown: dict[str, dict[str, Json]] = {}
        for known in self._actions:
            self._stand_in.says(200, b"{}")
            await self._run(known)
            shown[known.id] = self._stand_in.requests[-1].shown(self._host)
        return shown

    async def hook_wire(self, known: Registering) -> dict[str, dict[str, Json]]:
        """The same for the calls by which its service is told of a hook."""
        form, register = schema_of_fields(known.register.input), known.register
        given = sample_of(form, form)
        assert isinstance(given, dict)
        at = known.call(register.create, given, HOOK)["url"]
        hook = {**HOOK, "id": f"{at}/17"} if register.remove.url else HOOK  # it is known by its address there
        calls = {"find": register.find.request, "create": register.create, "remove": register.remove}
        shown: dict[str, dict[str, Json]] = {}
        for name, wanted in calls.items():
            self._stand_in.says(200, b"{}")
            await self._performed(known.call(wanted, given, hook), self._context)
            shown[name] = self._stand_in.requests[-1].shown(self._host)
        return shown

    async def cases(self) -> AsyncIterator[Tried]:
        """Every action with every kind of answer."""
        for known in self._actions:
            for case, expected in self._expected(known).items():
                self._answer(case, known)
                self._timeout_s = SHORT_S if case == "no answer" else None
                yield Tried(known.type, case, expected, _shown(await self._run(known)))
            for rule in known.errors:
                if rule.when.body:
                    self._says(_status(rule.when), _body(rule.when.body), rule.when)
                    expected = _expected_of(rule)
                    got = _shown(await self._run(known))
                    yield Tried(known.type, f"answer {msgspec.json.encode(rule.when).decode()}", expected, got)

    def _expected(self, known: Declared) -> Mapping[str, str]:
        output = known.action.output or NO_OUTPUT
        return {
            "success": "succeeded" if output.response == "binary" else _shown(Succeeded(output.sample)),
            "400": _ruled(known, 400, "failed http_400"),
            "401": _ruled(known, 401, "failed http_401"),
            "429": f"{_ruled(known, 429, 'retry http_429')} after {RETRY_AFTER_S:g} s",
            "500": _ruled(known, 500, "retry http_500"),
            "no answer": "retry timeout",
            **({"wrong content type": "failed answer_not_json"} if output.response == "json" else {}),
            "huge answer": "failed answer_too_large",
        }

    def _answer(self, case: str, known: Declared) -> None:
        body = {"error": {"message": "refused"}, "message": "refused"}
        match case:
            case "success":
                output = known.action.output
                sample = output.sample if output else None
                self._stand_in.says(200, msgspec.json.encode(_wrapped(sample, output.pick or "" if output else "")))
            case "429":
                self._stand_in.says(429, b"{}", ("Retry-After", f"{RETRY_AFTER_S:g}"))
            case "no answer":
                self._stand_in.answer = None
            case "wrong content type":
                self._stand_in.says(200, b"<html>Sign in</html>", content_type="text/html")
            case "huge answer":
                most = (known.action.output or NO_OUTPUT).max_bytes or DEFAULT_BYTES
                self._stand_in.says(200, b'"' + b"x" * most + b'"')
            case status:
                self._stand_in.says(int(status), msgspec.json.encode(body))

    def _says(self, status: int, body: JsonObject, when: When) -> None:
        self._stand_in.says(status, msgspec.json.encode(body), *(when.header or {}).items())

    async def _run(self, known: Declared) -> Outcome:
        return await self._tried(known).run(given_for(known), self._context)

    def _tried(self, known: Declared) -> ActionDescriptor:
        return descriptor(known, self._performed)

    async def _performed(self, sent: JsonObject, context: ActionContext) -> Outcome:
        """The stand-in is asked in the service's place."""
        address = urlsplit(str(sent["url"]))
        self._host = f"{address.scheme}://{address.netloc}"
        there = {**sent, "url": str(sent["url"]).replace(self._host, self._stand_in.address, 1)}
        if self._timeout_s is not None:
            there["timeout_s"] = self._timeout_s
        return await self._perform(there, context)


def given_for(known: Declared) -> JsonObject:
    """Input for an action: all its fields, those of its example as that has them."""
    schema = schema_of(known.action)
    found = sample_of(schema, schema)
    assert isinstance(found, dict)
    return {**found, **(known.action.example or {})}


def _shown(outcome: Outcome) -> str:
    match outcome:
        case Succeeded():
            return f"succeeded {msgspec.json.encode(outcome.output, order='deterministic').decode()[:500]}"
        case Retry():
            after = "" if outcome.after_s is None else f" after {outcome.after_s:g} s"
            return f"retry {outcome.code}{after}"
        case Failed() | Postponed():
            return f"failed {outcome.code}"


def _ruled(known: Declared, status: int, otherwise: str) -> str:
    """What the first rule for a status makes of it."""
    for rule in known.errors:
        statuses = rule.when.status if isinstance(rule.when.status, tuple) else (rule.when.status,)
        if not rule.when.body and not rule.when.header and status in statuses:
            return _expected_of(rule, status)
    return otherwise


def _expected_of(rule: ErrorRule, status: int | None = None) -> str:
    status = status or _status(rule.when)
    code = "refused" if 200 <= status < 300 else f"http_{status}"
    said = (rule.when.body or {}).get(rule.code or "")
    code = said if isinstance(said, str) and said.isidentifier() else code
    match rule.outcome:
        case "retry":
            return f"retry {code}"
        case "fail":
            return f"failed {code}"
        case "reconnect":
            return "failed unauthorized"
        case "succeed":
            return "succeeded"


def _status(when: When) -> int:
    status = when.status[0] if isinstance(when.status, tuple) else when.status
    return status or 200


def _body(fields: Mapping[str, Json]) -> JsonObject:
    body: JsonObject = {}
    for path, value in fields.items():
        wrapped = _wrapped(value, path)
        assert isinstance(wrapped, dict)
        body = _merged(body, wrapped)
    return body


def _merged(one: JsonObject, other: JsonObject) -> JsonObject:
    made = dict(one)
    for name, value in other.items():
        before = made.get(name)
        made[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return made


def _wrapped(value: Json, path: str) -> Json:
    """An answer that has the value at this path."""
    for key in reversed(parse_path(f"it.{path}")[1:] if path else ()):
        value = [*([None] * int(key)), value] if key.isdigit() else {key: value}
    return value
