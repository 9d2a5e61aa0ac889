"""Operations such as workspaces import by the thousand: with the bodies that GitHub, Google and Stripe describe."""

import json
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec

from domain.connector.descriptor import ActionContext
from domain.connector.outcome import Outcome, Succeeded
from domain.declared.action import Declared
from domain.declared.file import Action, Connection, Imported
from domain.values.json import JsonObject

OPERATIONS = 2_000
_VENDORS = Path(__file__).parents[1] / "data" / "vendors"


def operations(count: int) -> list[Declared]:
    """So many, each of its own name."""
    return [_declared(number, one) for number, one in enumerate(islice(cycle(_described()), count))]


async def performed(sent: JsonObject, _context: ActionContext) -> Outcome:
    """An answer that repeats what was sent."""
    return Succeeded({"status": 200, "body": sent, "headers": {}})


def _described() -> list[dict[str, Any]]:
    files = [json.loads((_VENDORS / f"{vendor}.json").read_text("utf-8")) for vendor in ("github", "google", "stripe")]
    return [one for file in files for host in file["hosts"].values() for one in host]


def _declared(number: int, described: dict[str, Any]) -> Declared:
    body = described["body"] or {}
    query = {"type": "object", "properties": described["query"]}
    schema: dict[str, Any] = {"type": "object", "properties": {"query": query, "body": body}}
    if "$defs" in body:
        schema["$defs"] = body["$defs"]
    call = Imported(method=described["method"], path=described["path"], body="application/json" if body else "")
    return Declared(
        connector="many", version="1.0.0", title="Many", icon="plug", base_url="https://many.example", hosts=(),
        connection=Connection(kind="bearer"), headers={}, errors=(), id=f"operation{number}",
        action=Action(name=f"Operation {number}", schema=msgspec.to_builtins(schema), operation=call),
    )  # fmt: skip
