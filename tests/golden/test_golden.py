"""Stored events of every release decode for ever.

After adding an event, or raising a schema version: add it to tests/support/examples.py, then run
`python -m tests.support.golden` and commit the new file. An existing sample is never edited.
"""

from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from domain.audit.words import AUDITED, told
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


SILENT = {
    "zap.scheduled", "zap.hook_due", "zap.hook.called",
    "zap.failures.alert_raised", "zap.failures.alert_attempted", "zap.trigger.ticked",
    "zap.request.rejected", "zap.request.counted", "zap.run.step_started", "zap.run.step_succeeded",
    "zap.run.step_attempt_failed", "zap.run.step_failed", "zap.run.step_postponed", "zap.run.step_delayed",
    "zap.run.step_decided", "zap.run.loop_started", "zap.run.loop_progressed", "zap.run.loop_finished",
    "zap.run.zap_called", "zap.run.resumed", "zap.run.approval_asked", "zap.run.approval_mailed",
    "zap.run.callback_awaited", "zap.run.callback_received", "zap.run.completed", "zap.run.filtered", "zap.run.failed",
    "zap.run.timed_out", "job.progressed", "job.completed",
}  # fmt: skip
"""Events that nobody causes directly: they are no part of the audit. A new event is in the audit, or here."""


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_what_somebody_does_is_told_in_the_audit(event: Event) -> None:
    name = event_type(event).name
    found = told(event, UUID(int=7))
    if name in SILENT:
        assert found is None
        assert type(event) not in AUDITED
        return
    assert type(event) in AUDITED
    if found is None:  # of runs, those which somebody started
        assert name == "zap.run.requested"
        return
    assert found.text[0].islower()
    assert not found.text.endswith(".")
    assert ("{}" in found.text) == (found.named_by is not None)
