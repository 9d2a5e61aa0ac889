"""Stored events of every release decode for ever.

After adding an event, or raising a schema version: add it to tests/support/examples.py, then run
`python -m tests.support.golden` and commit the new file. An existing sample is never edited.
"""

from pathlib import Path

import msgspec
import pytest

from domain.log.event import Event
from domain.registry import EVENT_TYPES, decode, encode, event_type
from tests.support.examples import EXAMPLES
from tests.support.golden import FOLDER, sample_path

SAMPLES = sorted(FOLDER.glob("*/*.json"))
CURRENT = {kind.name: kind.schema_version for kind in EVENT_TYPES}


def test_the_folders_are_the_event_types() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(CURRENT)


def test_every_version_up_to_today_has_a_sample() -> None:
    wanted = {sample_path(name, version) for name, current in CURRENT.items() for version in range(1, current + 1)}
    assert set(SAMPLES) == wanted


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_sample_decodes_today(path: Path) -> None:
    name, version = path.parent.name, int(path.stem)
    raw = path.read_bytes()
    event = decode(name, version, raw)
    assert event_type(event).name == name
    if version == CURRENT[name]:
        assert msgspec.json.decode(encode(event)) == msgspec.json.decode(raw)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_an_example_sets_every_field(event: Event) -> None:
    """A field at its default is not stored, so that a sample would not speak for it."""
    assert set(msgspec.json.decode(encode(event))) == set(event.__struct_encode_fields__)
