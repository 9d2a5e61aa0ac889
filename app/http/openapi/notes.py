"""What a route says about itself for the document, beyond what its types say."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from litestar.handlers import HTTPRouteHandler, post

Doc: TypeAlias = dict[str, Any]
"""A part of the document, which is JSON."""
HEADERS: Mapping[str, str] = {
    "ETag": "The version of the zap, to be sent in If-Match",
    "Location": "The path of what was made",
    "Stale": "`true` when the list does not yet include `min_position`; absent otherwise",
}
_KEY = "notes"
JSON, EVENT_STREAM = "application/json", "text/event-stream"


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """`problems`: codes that its kind of route does not have anyway. `answer`: the type of the usual answer, where
    the annotation says more; `statuses`: the types of others. `replays` is off where an Idempotency-Key does nothing.
    `media_type`: of the usual answer; of an EVENT_STREAM `answer` is the type of its events. `texts`: other media types
    that it may have.
    """

    problems: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    answer: Any = None
    statuses: Mapping[int, Any] = {}
    replays: bool = True
    media_type: str = JSON
    texts: tuple[str, ...] = ()


def notes(
    *problems: str,
    headers: tuple[str, ...] = (),
    answer: object = None,
    statuses: Mapping[int, object] | None = None,
    replays: bool = True,
    media_type: str = JSON,
    texts: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The `opt` of a route with these notes."""
    return {
        _KEY: Notes(
            problems=problems,
            headers=headers,
            answer=answer,
            statuses=statuses or {},
            replays=replays,
            media_type=media_type,
            texts=texts,
        )
    }


def command(
    path: str,
    operation_id: str,
    summary: str,
    *problems: str,
    status_code: int = 200,
    headers: tuple[str, ...] = (),
    answer: object = None,
    statuses: Mapping[int, object] | None = None,
) -> post:
    """A route that carries out a command: a POST with these notes."""
    opt = notes(*problems, headers=headers, answer=answer, statuses=statuses)
    return post(path, status_code=status_code, summary=summary, operation_id=operation_id, opt=opt)


def of(handler: HTTPRouteHandler) -> Notes:
    """The notes of a route."""
    found = handler.opt.get(_KEY)
    return found if isinstance(found, Notes) else Notes()
