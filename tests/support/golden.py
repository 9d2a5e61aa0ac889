"""Golden samples: stored events as releases wrote them, kept for ever under tests/golden/events/<type>/<version>.json.

`python -m tests.support.golden` writes the samples that are missing, from tests/support/examples.py. It never
touches one that exists: what is in somebody's log can not be changed either.
"""

from pathlib import Path

import msgspec

from domain.registry import encode, event_type
from tests.support.examples import EXAMPLES

FOLDER = Path(__file__).parents[1] / "golden" / "events"


def sample_path(name: str, schema_version: int) -> Path:
    """Where a type and version has its sample."""
    return FOLDER / name / f"{schema_version}.json"


def write_missing() -> list[Path]:
    """Make the samples of new events and of new schema versions."""
    written: list[Path] = []
    for event in EXAMPLES:
        kind = event_type(event)
        path = sample_path(kind.name, kind.schema_version)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.format(encode(event), indent=2) + b"\n")
            written.append(path)
    return written


if __name__ == "__main__":
    for made in write_missing():
        print(made.relative_to(FOLDER))  # noqa: T201
