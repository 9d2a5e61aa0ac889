"""The shell blocks of the guide, as one script a page, and what they answered."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from app.http.docs.guides import FOLDER

_FENCE = re.compile(r"^```(\w+)?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END_OF_BLOCK = "\n--- end of block ---\n"
ANYTHING = "…"


class Block(msgspec.Struct, frozen=True):
    """One block of shell; `wanted` is the answer that the page shows for it."""

    text: str
    note: str = ""
    wanted: str | None = None

    @property
    def runs(self) -> bool:
        """Whether the block is meant for a shell here and now."""
        return not self.note.startswith("not-run")


def blocks(page: str | Path) -> list[Block]:
    """The blocks of a page (by name) or of a file, in order."""
    path = page if isinstance(page, Path) else FOLDER / f"{page}.md"
    found: list[Block] = []
    for language, note, text in _FENCE.findall(path.read_text("utf-8")):
        if language == "sh":
            found.append(Block(text, note.strip()))
        elif note.strip() == "answer":
            found[-1] = msgspec.structs.replace(found[-1], wanted=text)
    return found


def script(parts: list[Block], url: str, target_port: int) -> str:
    """The blocks one after the other, with this instance's address and a port that is free."""
    text = f"printf '{_END_OF_BLOCK.encode('unicode_escape').decode()}'\n".join(part.text for part in parts)
    text = text.replace("http://127.0.0.1:8000", url).replace("127.0.0.1:9099", f"127.0.0.1:{target_port}")
    return f"set -eu\ntrap 'kill $target_process 2>/dev/null || true' EXIT\n{text}"


def answers(output: str) -> list[str]:
    """What each block has printed."""
    return output.split(_END_OF_BLOCK)


def differs(wanted: Any, got: Any, path: str = "") -> str:
    """Where the answer is not what the page shows, empty where it is. The page may leave out fields."""
    if wanted == ANYTHING:
        return "" if got is not None else f"{path}: missing"
    if isinstance(wanted, dict) and isinstance(got, dict):
        parts = (differs(value, got.get(key), f"{path}.{key}") for key, value in wanted.items())
        return next(filter(None, parts), "")
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        pairs = enumerate(zip(wanted, got, strict=True))
        return next(filter(None, (differs(one, other, f"{path}.{index}") for index, (one, other) in pairs)), "")
    return "" if wanted == got else f"{path}: the page shows {wanted!r}, the answer has {got!r}"


def wrong(block: Block, answer: str) -> str:
    """What is wrong with the answer to a block, empty when nothing is."""
    if block.wanted is None:
        return f"refused: {answer}" if "/docs/problems#" in answer else ""
    try:
        return differs(json.loads(block.wanted), json.loads(answer))
    except json.JSONDecodeError:
        return "" if answer.strip() == block.wanted.strip() else f"{answer!r} instead of {block.wanted!r}"
