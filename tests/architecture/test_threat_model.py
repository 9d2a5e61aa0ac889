"""The threat model promises only what a test tries to break."""

import ast
import re
from pathlib import Path

import pytest

from app.http.docs.guides import FOLDER

ROOT = Path(__file__).parents[2]
TEXT = (FOLDER / "threat-model.md").read_text("utf-8")
PROMISED = TEXT[TEXT.index("## What is promised") : TEXT.index("## What is not promised")]
ROWS = [row for row in PROMISED.splitlines() if row.startswith("| ") and not row.startswith("| promise")]


def test_there_are_promises() -> None:
    assert len(ROWS) > 20


@pytest.mark.parametrize("row", ROWS)
def test_each_promise_names_tests_that_exist(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
    assert named, "no test"
    for path, test in named:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert test in functions, f"{path} has no {test}"
