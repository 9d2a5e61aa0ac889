"""Values for a field, asked of the service while somebody fills in a form: a page at a time, kept for a minute."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

import msgspec

from app.connectors.added import Connectors
from consumers.connectors.http import request
from consumers.credentials.armed import Armed
from consumers.credentials.credentials import Credentials
from consumers.outbound.targets import Targets
from domain.connector.config import BadConfig
from domain.connector.descriptor import ActionContext
from domain.connector.outcome import Succeeded
from domain.declared.action import filled
from domain.declared.answers import settled
from domain.declared.file import Choice, ConnectorFile, Output
from domain.language.spelling import spelled
from domain.log.errors import DomainError, Invalid, NotFound
from domain.log.ports import Clock
from domain.values.json import Json, JsonObject
from domain.values.path import Missing, look_up, parse_path
from sql.process.recent import Recent

TIMEOUT_S = 10.0
KEPT_S = 60.0
MAX_KEPT = 500
MAX_ITEMS = 1_000
"""Of one page."""


class ServiceFailed(DomainError, code="service_failed"):
    """The service gave no choices."""


class ChoiceItem(msgspec.Struct, frozen=True):
    """One value with what people see of it."""

    value: Json
    label: str
    hint: str = ""


class ChoicePage(msgspec.Struct, frozen=True):
    """One page. `complete`: there are no others."""

    items: Sequence[ChoiceItem]
    next_cursor: str | None
    complete: bool


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to choose from."""

    connection_id: UUID | None = None
    input: JsonObject = {}
    search: str = ""
    cursor: str = ""


class Choices:
    """Asks services of all tenants."""

    def __init__(self, connectors: Connectors, credentials: Credentials, targets: Targets, now: Clock) -> None:
        self._connectors = connectors
        self._credentials = credentials
        self._targets = targets
        self._now = now
        self._pages = Recent[bytes, ChoicePage](MAX_KEPT, KEPT_S, lambda: now().timestamp())

    async def page(self, tenant_id: UUID, name: str, choice_name: str, asked: Asked) -> ChoicePage:
        """A page of values. Raises NotFound, Invalid, ServiceFailed."""
        file = await self._connectors.file(tenant_id, name)
        choice = file.choices.get(choice_name)
        if choice is None:
            raise NotFound(f"{name} has no choices of this name; it has: {', '.join(file.choices) or 'none'}")
        missing = [field for field in choice.depends_on if asked.input.get(field) in (None, "")]
        if missing:
            raise Invalid(f"input.{missing[0]}: required", errors=[_required(field) for field in missing])
        key = _key(tenant_id, file, choice_name, asked, choice)
        known = self._pages.get(key)
        if known is not None:
            return known
        page = await self._asked(tenant_id, file, choice, asked)
        self._pages.put(key, page)
        return page

    async def _asked(self, tenant_id: UUID, file: ConnectorFile, choice: Choice, asked: Asked) -> ChoicePage:
        own = {"search": asked.search, "cursor": asked.cursor}
        scope: JsonObject = {"input": asked.input, **{name: text for name, text in own.items() if text}}
        try:
            sent = filled(file.base_url.rstrip("/"), choice.request, scope)
        except BadConfig as error:
            raise Invalid(str(error)) from None
        sent = {**sent, "timeout_s": TIMEOUT_S, "headers": {**file.headers, **_headers(sent)}}
        http = self._targets.of(tenant_id, None)
        armed = Armed(http, self._credentials, tenant_id, asked.connection_id) if asked.connection_id else None
        context = ActionContext(armed or http, "choices", UUID(int=0), self._now)
        outcome = settled(await request(sent, context), file.errors, Output(sample=None))
        outcome = armed.blotted(outcome) if armed else outcome
        if not isinstance(outcome, Succeeded):
            raise ServiceFailed(f"{file.name} gives no choices: {outcome.message}")
        return _page(outcome.output, choice, asked)


def _headers(sent: JsonObject) -> JsonObject:
    headers = sent.get("headers")
    return headers if isinstance(headers, dict) else {}


def _required(field: str) -> JsonObject:
    return {"path": f"input.{field}", "pointer": f"/input/{field}", "code": "required", "reason": "required"}


def _key(tenant_id: UUID, file: ConnectorFile, name: str, asked: Asked, choice: Choice) -> bytes:
    used = {field: asked.input.get(field) for field in choice.depends_on}
    wanted = [str(tenant_id), file.connector, file.version, name, used, asked.search, asked.cursor, asked.connection_id]
    return hashlib.sha256(msgspec.json.encode(wanted, order="deterministic")).digest()


def _page(body: Json, choice: Choice, asked: Asked) -> ChoicePage:
    found = _at(body, choice.items) if choice.items else body
    rows = found if isinstance(found, list) else []
    items = [
        ChoiceItem(value, _shown(row, choice.label or choice.value), _shown(row, choice.hint) if choice.hint else "")
        for row in rows[:MAX_ITEMS]
        if (value := _at(row, choice.value)) is not None
    ]
    asks = "search" in msgspec.json.encode(choice.request).decode()
    if asked.search and not asks:
        wanted = asked.search.casefold()
        items = [item for item in items if wanted in f"{item.label} {spelled(item.value)}".casefold()]
    cursor = _at(body, choice.page.next) if choice.page else None
    following = spelled(cursor) if cursor not in (None, "", False) else None
    return ChoicePage(items, following, following is None and len(rows) <= MAX_ITEMS)


def _shown(row: Json, path: str) -> str:
    return spelled(_at(row, path))[:300]


def _at(value: Json, path: str) -> Json:
    found = look_up({"it": value}, parse_path(f"it{path}" if path.startswith("[") else f"it.{path}"))
    return None if isinstance(found, Missing) else found
