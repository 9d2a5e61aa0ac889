"""The guide: the Markdown files of the folder `guide`, in the order in which to read them."""

from functools import cache
from pathlib import Path

import msgspec

from app.http.docs.markdown import title, to_html

FOLDER = Path(__file__).parent / "guide"
ORDER = (
    "first-zap",
    "ui",
    "webhooks",
    "schedules",
    "polling",
    "conditions",
    "templates",
    "flow",
    "waiting",
    "testing",
    "http-action",
    "files",
    "data",
    "connectors",
    "connections",
    "variables",
    "failures",
    "runs",
    "history",
    "search",
    "live",
    "api",
    "proofs",
    "operating",
    "threat-model",
    "extending",
)


class Guide(msgspec.Struct, frozen=True):
    """One page."""

    title: str
    html: str


@cache
def guides() -> dict[str, Guide]:
    """All pages by name; read at the first request, since most processes never show one."""
    texts = {name: (FOLDER / f"{name}.md").read_text("utf-8") for name in ORDER}
    return {name: Guide(title(text), to_html(text)) for name, text in texts.items()}
