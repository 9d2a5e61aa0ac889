"""At which address the operations of a description are."""

from collections.abc import Iterator
from urllib.parse import urljoin

from domain.imported.pointers import as_list, as_object, resolved
from domain.values.json import Json, JsonObject


class Servers:
    """The addresses of a document that came from `at`, which may be relative to that. `wished` counts more than all."""

    def __init__(self, document: JsonObject, wished: str | None, at: str) -> None:
        self._document = document
        self._at = at
        self._wished = (wished or "").rstrip("/")
        self._own = self._first(document)

    @property
    def base_url(self) -> str:
        """Where most operations are; empty where the document does not say."""
        return self._wished or self._own or next(filter(None, map(self._first, self._parts())), "")

    def other(self, shared: JsonObject, operation: JsonObject) -> str:
        """Where an operation is that is elsewhere; empty where it is not."""
        if self._wished:
            return ""
        found = self._first(operation) or self._first(shared)
        return found if found != self.base_url else ""

    def _parts(self) -> Iterator[JsonObject]:
        """The paths, and their operations."""
        for item in as_object(self._document.get("paths")).values():
            shared = resolved(self._document, item)
            yield shared
            yield from (as_object(operation) for operation in shared.values())

    def _first(self, of: JsonObject) -> str:
        """The first server that is an address."""
        return next(filter(None, (self._address(as_object(one)) for one in as_list(of.get("servers")))), "")

    def _address(self, server: JsonObject) -> str:
        url = str(server.get("url") or "").strip()
        for name, one in as_object(server.get("variables")).items():
            url = url.replace("{" + name + "}", _usual(as_object(one)))
        try:
            url = urljoin(self._at, url) if self._at else url
        except ValueError:
            return ""
        found = url.partition("?")[0].rstrip("/")
        return found if found.startswith(("https://", "http://")) and "{" not in found else ""


def _usual(variable: JsonObject) -> str:
    """The value of a variable of an address; a brace, which no address has, where nobody knows it."""
    choices = as_list(variable.get("enum"))
    values: list[Json] = [variable.get("default"), *choices]
    return next((str(value) for value in values if value not in (None, "")), "" if "default" in variable else "{")
