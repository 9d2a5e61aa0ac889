"""The call by which a connector says whether a credential is let in, found by the host that the credential goes to."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from consumers.connectors.shipped import names, shipped
from domain.connector.config import BadConfig
from domain.declared.action import filled
from domain.declared.file import ConnectorFile, ErrorRule, Request
from domain.declared.filling import SEGMENT, fill_base
from domain.values.json import Json, JsonObject


class Probe(msgspec.Struct, frozen=True):
    """A config of http.request, and what the answers of the connector's service mean."""

    connector: str
    sent: JsonObject
    rules: Sequence[ErrorRule]


def probe_of(kind: str, host: str) -> Probe | None:
    """That of the first connector of this host which takes such a connection and says how it is tested."""
    for name in names():
        file = shipped(name)
        test, fields = file.connection.test, _fields(file.base_url, host)
        if test and fields is not None and kind in (file.connection.kind, *file.connection.kinds):
            return _probe(file, test, fields)
    return None


def _probe(file: ConnectorFile, test: Request, fields: JsonObject) -> Probe | None:
    try:
        sent = filled(fill_base(file.base_url.rstrip("/"), fields), test, {})
    except BadConfig:
        return None
    own = sent.get("headers")
    headers = {**file.headers, **(own if isinstance(own, dict) else {})}
    return Probe(file.name, {**sent, "headers": headers} if headers else sent, file.errors)


def _fields(base_url: str, host: str) -> dict[str, Json] | None:
    """What a host says of the parts that fields give in an address, such as a customer's name; None for another one."""
    plain = re.escape(urlsplit(base_url).netloc).replace(r"\{", "{").replace(r"\}", "}")
    found = re.fullmatch(SEGMENT.sub(r"(?P<\1>[A-Za-z0-9-]+)", plain), host)
    return dict(found.groupdict()) if found else None
