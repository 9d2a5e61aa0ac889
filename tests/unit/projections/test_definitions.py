"""A read model whose table changes gets a new definition number: else no upgrade would build it anew."""

import hashlib
import re
from pathlib import Path

import msgspec
import pytest

from projections.engine.projection import Projection
from projections.engine.registry import PROJECTIONS

RECORD = Path(__file__).parents[2] / "golden" / "read_models.json"


def shape(projection: Projection) -> str:
    """A fingerprint of the table and of the events it is made from, whatever the layout and the comments."""
    sql = " ".join(re.sub(r"--.*", "", projection.create).split())
    return hashlib.sha256(f"{sql} {sorted(projection.handles)}".encode()).hexdigest()[:16]


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
def test_another_shape_is_another_definition(projection: Projection) -> None:
    """After a change: raise `definition`, then put the new pair into the file."""
    recorded = msgspec.json.decode(RECORD.read_bytes(), type=dict[str, dict[int, str]])[projection.name]
    assert projection.definition == max(recorded), "record the new definition"
    assert recorded[projection.definition] == shape(projection), "the table changed: raise `definition`"


def test_layout_and_comments_are_no_change() -> None:
    one = PROJECTIONS[0]
    other = msgspec.structs.replace(one, create=one.create.replace(",\n", ",\n    -- more\n    "))
    assert shape(one) == shape(other)
    wider = msgspec.structs.replace(one, create=one.create.replace("not null", "not null, more int", 1))
    assert shape(one) != shape(wider)
