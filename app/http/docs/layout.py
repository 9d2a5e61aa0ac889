"""The frame of every page: heading, navigation, no script."""

from html import escape

from litestar import MediaType, Response

from app.http.docs.guides import guides
from app.http.docs.reference import REFERENCES

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FORM_POLICY = POLICY.replace("form-action 'none'", "form-action 'self'")
_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "same-origin"}
_TOP = (("/docs", "API"), ("/docs/guide", "Guide"), ("/docs/reference", "Reference"))


def page(title: str, body: str, path: str) -> Response[str]:
    """A page to read; `path` is its own address, which the navigation marks."""
    html = (
        f'{head(title)}<body>{top(path)}<div class="columns"><main>{body}</main>'
        f'<nav class="contents" id="contents" aria-label="Contents">{_contents(path)}</nav></div></body></html>'
    )
    return respond(html, POLICY)


def form_page(title: str, body: str, status: int = 200) -> Response[str]:
    """A page for one who came by a secret link: nobody keeps or finds it, and it tells no other site of its address."""
    answer = respond(f"{head(title)}<body><main><h1>{escape(title)}</h1>{body}</main></body></html>", _FORM_POLICY)
    answer.status_code = status
    answer.headers.update({"cache-control": "no-store", "x-robots-tag": "noindex", "referrer-policy": "no-referrer"})
    return answer


def respond(html: str, policy: str) -> Response[str]:
    """HTML under a content security policy."""
    return Response(html, media_type=MediaType.HTML, headers={**_HEADERS, "content-security-policy": policy})


def head(title: str, *links: str) -> str:
    """The document up to its body."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} · TriggerHub</title><link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="/docs/assets/docs.css">{"".join(links)}</head>'
    )


def top(path: str) -> str:
    """The bar above every page."""
    links = "".join(_anchor(url, name, path == url or (url != "/docs" and path.startswith(url))) for url, name in _TOP)
    return (
        f'<header><a class="name" href="/docs/guide">TriggerHub</a><nav aria-label="Sections">{links}</nav>'
        '<a class="to-contents" href="#contents">Contents</a></header>'
    )


def _contents(path: str) -> str:
    pages = [(f"/docs/guide/{name}", guide.title) for name, guide in guides().items()]
    references = [(f"/docs/reference/{name}", reference.title) for name, reference in REFERENCES.items()]
    return _list("Guide", pages, path) + _list("Reference", references, path)


def _list(title: str, links: list[tuple[str, str]], path: str) -> str:
    items = "".join(f"<li>{_anchor(url, name, url == path)}" for url, name in links)
    return f"<h2>{title}</h2><ul>{items}</ul>"


def _anchor(url: str, name: str, current: bool) -> str:
    mark = ' aria-current="page"' if current else ""
    return f'<a href="{url}"{mark}>{escape(name)}</a>'
