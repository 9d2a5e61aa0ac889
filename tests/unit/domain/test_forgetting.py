"""What is forgotten of a run's events, and what is not."""

from collections.abc import Iterator

import msgspec
import pytest

from domain.erasure.forgetting import forgotten
from domain.log.event import Event
from domain.registry import decode, encode, event_type
from domain.values.json import Json
from tests.support.examples import EXAMPLES

OF_RUNS = [event for event in EXAMPLES if event_type(event).name.startswith("zap.run.")]
NAMES = {
    *("zap_id", "source", "replay_of", "deadline", "job_id", "run_id", "step_id", "code", "started_at", "retry_at"),
    *("gone_for", "at", "until", "items_sha256", "timer_id", "user_id", "role", "token_sha256", "decision", "kind"),
    *("due_at", "trigger_id", "trigger_type", "parent", "taken", "callers", "runs", "via"),
}
"""Fields that may hold a text afterwards: ids, times, hashes, and words of ours or of the zap's definition."""


def texts(value: Json, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner, name)
    elif isinstance(value, str) and value:
        yield name


@pytest.mark.parametrize("event", OF_RUNS, ids=lambda event: type(event).__name__)
def test_what_stays_is_an_event_without_a_payload(event: Event) -> None:
    kind, data = event_type(event), encode(event)
    stays = forgotten(data)
    assert isinstance(decode(kind.name, kind.schema_version, stays), type(event))
    assert set(texts(msgspec.json.decode(stays))) <= NAMES
    assert forgotten(stays) == stays


def test_a_field_that_nobody_knows_is_forgotten() -> None:
    fields = {"step_id": "send", "novelty": {"a": "secret"}, "other": ["secret"], "third": "secret", "number": 7}
    assert b"secret" not in forgotten(msgspec.json.encode(fields))
    assert b"7" not in forgotten(msgspec.json.encode(fields))
