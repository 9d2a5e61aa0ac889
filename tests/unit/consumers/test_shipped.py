"""Each connector that ships as a file: what it sends is in the repository, and it takes every kind of answer."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.connectors import catalog
from consumers.connectors.http import request
from consumers.connectors.shipped import all_of, names, preset_of, shipped
from consumers.outbound.client import Outbound
from consumers.trial.stand_in import StandIn, stand_in
from consumers.trial.trial import Trial, given_for
from domain.declared.action import declared
from domain.declared.fields import schema_of
from domain.declared.form import problems
from domain.values.json import Json
from sql.process.clock import now

WIRE = Path(__file__).parents[2] / "golden" / "wire"


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[StandIn]:
    async with stand_in() as service:
        yield service


@pytest.mark.parametrize("name", names())
async def test_what_goes_over_the_wire_is_as_it_was_reviewed(
    name: str, service: StandIn, http: Outbound, pytestconfig: pytest.Config
) -> None:
    """Write it anew with: pytest tests/unit/consumers/test_shipped.py --write-golden"""
    tries = trial(name, service, http)
    wire: dict[str, Json] = {**await tries.wire()}
    for known in filter(None, (preset_of(f"{name}.{one}") for one in shipped(name).triggers)):
        wire["told of a hook"] = {**await tries.hook_wire(known)}
    path = WIRE / f"{name}.json"
    if pytestconfig.getoption("--write-golden", default=False) or not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(wire, indent=2, ensure_ascii=False) + "\n", "utf-8")
    assert wire == json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("name", names())
async def test_every_kind_of_answer_has_its_outcome(name: str, service: StandIn, http: Outbound) -> None:
    found = [tried async for tried in trial(name, service, http).cases()]
    assert [tried for tried in found if not tried.holds] == []
    assert len(found) >= 7 * len(shipped(name).actions)


@pytest.mark.parametrize("name", names())
def test_a_file_is_named_after_its_connector_and_says_what_people_need(name: str) -> None:
    file = shipped(name)
    assert file.connector == name
    assert file.docs_url
    assert file.description
    if file.connection.kind != "none":
        assert file.connection.help
    for known in declared(file):
        assert problems(schema_of(known.action), given_for(known)) == {}


def test_types_are_in_the_catalog_once_each() -> None:
    actions = catalog().actions
    assert len(set(actions)) == len(actions)
    assert {known.type for name in names() for known in all_of(name)} <= set(actions)
    assert all(actions[type_].type == type_ for type_ in actions)


def trial(name: str, service: StandIn, http: Outbound) -> Trial:
    return Trial(all_of(name), service, http, request, now)


def test_patterns_of_the_catalog_are_those_of_json_schema() -> None:
    r"""There `\Z` is the letter; clients hold what they send against it."""
    known = catalog()
    schemas = [one.form for one in known.triggers.values()]
    schemas += [one.form for one in known.actions.values()]
    assert '"pattern"' in json.dumps(schemas)
    assert "\\\\Z" not in json.dumps(schemas)
