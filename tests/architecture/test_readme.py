"""The documents say what the code says, and name what exists."""

import re
from pathlib import Path

import pytest

from app.cli.commands import main
from app.config.settings import PREFIX, Settings
from app.http.docs.guides import FOLDER, ORDER
from consumers.connectors import catalog

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "tests/faults/README.md"]
GUIDES = [f"app/http/docs/guide/{name}.md" for name in ORDER]


def test_the_readme_is_short_and_leads_to_every_page_of_the_guide() -> None:
    assert len(README.splitlines()) <= 150
    assert set(re.findall(r"\]\((app/http/docs/guide/[\w-]+\.md)\)", README)) == set(GUIDES)


def test_every_setting_is_explained_in_the_example() -> None:
    """The table with defaults and meanings is a page of the reference; tests/unit/app/test_docs.py checks that."""
    example = (ROOT / ".env.example").read_text()
    named = re.findall(rf"^(?:# ?)?({PREFIX}\w+)=", example, re.MULTILINE)
    assert sorted(named) == sorted(f"{PREFIX}{name.upper()}" for name in Settings.__struct_fields__)


@pytest.mark.parametrize("document", [*DOCUMENTS, *GUIDES])
def test_commands_that_are_named_exist(document: str) -> None:
    named = re.findall(r"`triggerhub ([a-z][\w-]*)", (ROOT / document).read_text())
    assert set(named) <= set(main.commands)


@pytest.mark.parametrize("document", [*DOCUMENTS, *GUIDES])
def test_settings_that_are_named_exist(document: str) -> None:
    named = re.findall(rf"\b{PREFIX}([A-Z]+(?:_[A-Z]+)*)(?![\w*])", (ROOT / document).read_text())
    assert {name.lower() for name in named if not name.startswith(("TEST_", "SOAK_"))} <= set(
        Settings.__struct_fields__
    )


@pytest.mark.parametrize("document", ["README.md", *GUIDES])
def test_examples_use_what_the_catalog_has(document: str) -> None:
    text = (ROOT / document).read_text()
    types = set(re.findall(r'"type": "(\w+\.\w+)"', "".join(re.findall(r"```sh.*?```", text, re.DOTALL))))
    known = {*catalog().triggers, *catalog().actions}
    made = {"webhook.cough", "shop.add_line"}  # a mistake on purpose, of which the page shows the answer; one it adds
    assert types - made <= known
    assert types or document.endswith(
        ("operating.md", "proofs.md", "extending.md", "threat-model.md", "ui.md", "search.md")
    )


@pytest.mark.parametrize("document", [*DOCUMENTS, *GUIDES])
def test_files_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    folder = FOLDER if document in GUIDES else ROOT
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!http|/|#)([^)]+)\)", text)]
    paths = re.findall(r"`((?:app|consumers|domain|projections|relay|sql|tests)/[\w./]*)`", text)
    wanted = [*(folder / link for link in links), *(ROOT / path for path in paths if "NAME" not in path)]
    assert [path for path in wanted if not path.exists()] == []
