"""The built web UI (app/ui/dist): its page for every address that people open, and its files."""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import Parameter

from app.http.inputs import Injected
from app.http.problems import NO_SNIFF, Problem
from app.http.services import Services

DIST = Path(__file__).parents[2] / "ui" / "dist"
SECTIONS = (
    *("login", "zaps", "runs", "inbox", "approvals", "requests", "jobs"),
    *("connections", "variables", "catalog", "stats", "audit", "history", "system", "settings"),
)
"""The first parts of the UI's own addresses; app/ui/src/router.tsx knows the same."""
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Scripts and styles are files of ours; nothing is inline, evaluated, or from another host."""
_PAGE_HEADERS = {
    **NO_SNIFF,
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
_ADDRESSES = ["/", *(f"/{name}{rest}" for name in SECTIONS for rest in ("", "/{item:str}"))]
_ROOT = '<base href="/"'
Name = Annotated[str, Parameter(max_length=100)]


class File(msgspec.Struct, frozen=True):
    """A file as it is sent: as it is, or compressed."""

    content: bytes
    packed: bytes
    media_type: str


@get(_ADDRESSES, include_in_schema=False, sync_to_thread=False)
def index(request: "Request[object, object, State]", services: Injected[Services]) -> Response[bytes]:
    """The one page of the UI; what it shows, its script reads from the address."""
    return page(services.public_path, request.headers.get("if-none-match", ""))


def page(path: str, known: str = "", status_code: int = 200) -> Response[bytes]:
    """The page, which finds its files below `path`, that of the public URL; `known` are ETags that a browser has."""
    content, etag = _page(path)
    headers = {**_PAGE_HEADERS, "etag": etag}
    if status_code == 200 and etag in known:
        return Response(b"", status_code=304, headers=headers)
    return Response(content, status_code=status_code, media_type="text/html", headers=headers)


@cache
def _page(path: str) -> tuple[bytes, str]:
    html = (DIST / "index.html").read_text("utf-8")
    content = html.replace(_ROOT, f'<base href="{path}/"').encode()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


@get("/assets/{name:str}", include_in_schema=False, sync_to_thread=True)
def asset(request: "Request[object, object, State]", name: Name) -> Response[bytes]:
    """A script, a style sheet or a picture. Its name follows from its content, so it never changes."""
    file = _assets().get(name)
    if file is None:
        raise Problem("not_found", "there is no such file: load the page anew, as a newer release may be running")
    headers = {"cache-control": _FOR_EVER, "vary": "accept-encoding"}
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["content-encoding"] = "gzip"
    return Response(file.packed if packed else file.content, media_type=file.media_type, headers=headers)


@get("/licenses.txt", include_in_schema=False, sync_to_thread=True)
def licenses() -> Response[bytes]:
    """The licences of what the UI is made of."""
    return Response((DIST / "licenses.txt").read_bytes(), media_type="text/plain")


@cache
def _assets() -> dict[str, File]:
    return {path.name: _file(path) for path in (DIST / "assets").iterdir() if path.suffix in _MEDIA_TYPES}


def _file(path: Path) -> File:
    content = path.read_bytes()
    return File(content, gzip.compress(content, mtime=0), _MEDIA_TYPES[path.suffix])


FILES = [index, asset, licenses]
"""The route handlers."""
