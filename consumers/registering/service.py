"""The calls by which a service is told of a hook, as the file of its connector says them."""

from uuid import UUID

import msgspec

from consumers.connectors.http import request
from domain.connection.blot import Blot
from domain.connector.config import BadConfig
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpClient
from domain.connector.outcome import Failed, Outcome, Postponed, Retry, Succeeded, blotted
from domain.declared.answers import settled
from domain.declared.file import Output, Request
from domain.language.spelling import spelled
from domain.log.ports import Clock
from domain.starting.registering import Registering
from domain.values.json import Json, JsonObject
from domain.values.path import Missing, look_up, parse_path

TIMEOUT_S = 10.0
GONE = frozenset({"http_404", "http_410"})
_ANY = Output(sample=None, response="auto")


class Refused(Exception):
    """The service did not do it. `final`: asking once more would not help."""

    def __init__(self, code: str, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.final = final


class Told(msgspec.Struct, frozen=True):
    """What the service made of a hook: its id there, and the secret where it has chosen one."""

    hook_id: str
    secret: str


class Service:
    """One service, asked about the hook of one zap in one attempt. `http` carries the connection."""

    def __init__(
        self, http: HttpClient, known: Registering, given: JsonObject, *, hook: JsonObject, clock: Clock, attempt: str
    ) -> None:
        self._attempt = attempt
        self._http = http
        self._known = known
        self._given = given
        self._hook = hook
        self._clock = clock

    @property
    def by_address(self) -> bool:
        """Whether the service has one hook only, which another may have taken the place of."""
        return self._known.by_address

    async def ids(self) -> list[str]:
        """The service's ids of hooks that lead to the zap: none, one, or more where nobody knew of an earlier one.

        Raises Refused, also where the answer is no list: a page, say.
        """
        find = self._known.register.find
        body = await self._call(find.request)
        listed = _at(body, find.items) if find.items else body
        if not isinstance(body, list | dict) or not isinstance(listed, list | dict | None):
            message = f"it does not list its hooks, but answers {str(body)[:100]!r}"
            raise Refused("answer_unreadable", message, final=False)
        rows = listed if isinstance(listed, list) else [listed]
        if find.inside:
            inner = [_at(row, find.inside) for row in rows]
            rows = [row for some in inner if isinstance(some, list) for row in some]
        return [spelled(_at(row, find.id)) for row in rows if _at(row, find.url) == self._hook["url"]]

    async def create(self) -> Told:
        """Raises Refused."""
        register = self._known.register
        body = await self._call(register.create)
        own = self._hook["url" if self._known.by_address else "name"]
        hook_id = spelled(_at(body, register.id)) if register.id else str(own)
        secret = _at(body, register.secret) if register.secret else ""
        if not hook_id or (register.secret and not (isinstance(secret, str) and secret)):
            raise Refused("answer_incomplete", "the answer has neither id nor secret of the hook", final=True)
        return Told(hook_id, secret if isinstance(secret, str) else "")

    async def remove(self, hook_id: str) -> None:
        """One that is gone already is as good. Raises Refused."""
        try:
            await self._call(self._known.register.remove, hook_id)
        except Refused as error:
            if error.code not in GONE:
                raise

    async def _call(self, wanted: Request, hook_id: str = "") -> Json:
        try:
            sent = self._known.call(wanted, self._given, {**self._hook, "id": hook_id})
        except BadConfig as error:
            raise Refused("bad_config", str(error), final=True) from None
        context = ActionContext(self._http, self._attempt, UUID(int=0), self._clock)
        outcome = await request({**sent, "timeout_s": TIMEOUT_S, "response": "auto"}, context)
        secret = self._hook.get("secret")
        return _body(blotted(settled(outcome, self._known.file.errors, _ANY), Blot([str(secret)] if secret else [])))


def _body(outcome: Outcome) -> Json:
    match outcome:
        case Succeeded(output):
            return output
        case Failed(code=code, message=message):
            raise Refused(code, message, final=True)
        case Retry(code=code, message=message) | Postponed(code=code, message=message):
            raise Refused(code, message, final=False)


def _at(value: Json, path: str) -> Json:
    found = look_up({"it": value}, parse_path(f"it{path}" if path.startswith("[") else f"it.{path}"))
    return None if isinstance(found, Missing) else found
