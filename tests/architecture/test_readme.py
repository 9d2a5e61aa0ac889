"""The documents say what the code says, and name what exists."""

import re
from pathlib import Path

import pytest

from app.cli.commands import main
from app.config.settings import PREFIX, Settings
from consumers.connectors import catalog

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def table(name: str) -> list[list[str]]:
    """The rows, without the heading, of the table behind the marker `<!-- name -->`."""
    rows = README.split(f"<!-- {name} -->\n")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_command_is_listed_with_its_help() -> None:
    listed = {row[0]: row[1] for row in table("commands")}
    assert listed == {f"`triggerhub {name}`": c.get_short_help_str(200) for name, c in main.commands.items()}


def test_every_setting_is_listed() -> None:
    listed = [row[0] for row in table("settings")]
    assert listed == [f"`{PREFIX}{name.upper()}`" for name in Settings.__struct_fields__]


def test_defaults_that_are_values_are_the_real_ones() -> None:
    defaults = {row[0].strip("`"): row[1].strip("`") for row in table("settings") if re.fullmatch(r"`[\w.-]+`", row[1])}
    assert len(defaults) >= 8
    assert Settings.from_env(defaults) == Settings.from_env({})


def test_the_first_zap_uses_what_the_catalog_has() -> None:
    block = README.split("```sh\n")[1].split("```")[0]
    types = set(re.findall(r'"type": "(\w+\.\w+)"', block))
    assert types == {"webhook.catch", "http.request"}
    assert types <= {*catalog().triggers, *catalog().actions}


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "tests/faults/README.md"])
def test_files_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    links = re.findall(r"\]\((?!http)([^)]+)\)", text)
    paths = re.findall(r"`((?:app|consumers|domain|projections|relay|sql|tests)/[\w./]*)`", text)
    assert [target for target in [*links, *paths] if "NAME" not in target and not (ROOT / target).exists()] == []
