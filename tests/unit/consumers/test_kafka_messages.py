"""What may be set of a topic, how a message is seen, and what of a broker's bytes is read."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from consumers.connectors import catalog
from consumers.dialogues.batches import MAX_INFLATED, Unreadable, batches, records
from consumers.dialogues.bodies import body, size
from consumers.dialogues.kafka_loop import MAX_ANSWER, _Bounded
from consumers.dialogues.reading import Reading
from domain.connector.poll import Place
from domain.dialogue.topic import Position, TopicRequest
from domain.zap.news import fingerprint

GOOD: dict[str, Any] = {"bootstrap_servers": ["kafka.example.com:9092"], "topic": "orders"}
TRIGGER = catalog().triggers["kafka.message"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"bootstrap_servers": []}, "bootstrap_servers"),
        ({"bootstrap_servers": "kafka:9092"}, "bootstrap_servers"),
        ({"bootstrap_servers": ["kafka:9092"] * 11}, "bootstrap_servers"),
        ({"bootstrap_servers": ["ok:1", "kafka"]}, "bootstrap_servers.1"),
        ({"bootstrap_servers": ["kafka:0"]}, "bootstrap_servers.0"),
        ({"bootstrap_servers": ["kafka:65536"]}, "bootstrap_servers.0"),
        ({"bootstrap_servers": ["user@kafka:9092"]}, "bootstrap_servers.0"),
        ({"bootstrap_servers": ["http://kafka:9092"]}, "bootstrap_servers.0"),
        ({"bootstrap_servers": ["{{ now }}:9092"]}, "bootstrap_servers.0"),
        ({"topic": ""}, "topic"),
        ({"topic": "a b"}, "topic"),
        ({"topic": "{{ now }}"}, "topic"),
        ({"start_from": "all"}, "start_from"),
        ({"every_s": 0}, "every_s"),
        ({"max_items": 10_001}, "max_items"),
        ({"max_bytes": 2**20 + 1}, "max_bytes"),
        ({"group": "g"}, "group"),
    ],
)
def test_a_mistake_is_told_at_its_place(fields: dict[str, Any], path: str) -> None:
    assert list(TRIGGER.problems({**GOOD, **fields})) == [path]


@pytest.mark.parametrize("server", ["kafka:9092", "10.0.0.1:1", "[::1]:65535", "a-b.example.com:9093"])
def test_what_is_right_has_no_mistakes(server: str) -> None:
    assert TRIGGER.problems({**GOOD, "bootstrap_servers": [server], "start_from": "earliest", "max_bytes": 10}) == {}


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"every_s": 60}, True),
        ({"max_items": 5}, True),
        ({"max_bytes": 5}, True),
        ({"start_from": "earliest"}, True),
        ({"bootstrap_servers": ["b:2", "a:1"]}, True),
        ({"bootstrap_servers": ["c:3"]}, False),
        ({"topic": "other"}, False),
    ],
)
def test_a_source_is_the_same_whatever_is_set_of_when_and_how_much(fields: dict[str, Any], *, same: bool) -> None:
    poll = TRIGGER.poll
    assert poll is not None
    before = {**GOOD, "bootstrap_servers": ["a:1", "b:2"]}
    one, other = (fingerprint("kafka.message", poll.source(config)) for config in (before, {**before, **fields}))
    assert (one == other) == same


@given(st.dictionaries(st.integers(0, 10_000), st.builds(Position, st.integers(0, 2**63 - 1), st.integers(0, 9))))
def test_positions_are_remembered_as_they_are(positions: dict[int, Position]) -> None:
    place = Place(positions=positions)
    assert msgspec.json.decode(msgspec.json.encode(place), type=Place) == place


def test_a_place_of_before_has_no_positions() -> None:
    assert msgspec.json.decode('{"cursor":"7"}', type=Place) == Place(cursor="7")


class Record(msgspec.Struct):
    offset: int = 7
    timestamp: int | None = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: list[tuple[str, bytes | None]] = []


RAW = st.one_of(
    st.none(), st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)


@given(st.builds(Record, timestamp=st.integers(-(2**63), 2**63 - 1), key=RAW, value=RAW,
                 headers=st.lists(st.tuples(st.text(max_size=3), RAW), max_size=5)))  # fmt: skip
def test_any_message_is_json(record: Record) -> None:
    seen = body(record, "t", 3)
    assert msgspec.json.decode(msgspec.json.encode(seen)) == seen
    assert set(seen) == {"key", "value", "headers", "topic", "partition", "offset", "timestamp"}
    assert size(record) >= len(record.value or b"")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b"17", 17),
        (b"so", "so"),
        (b"\xff", "/w=="),
        (None, None),
        (b"", ""),
        (b"[" * 99, "[" * 99),
    ],
)
def test_a_value_is_json_or_text_or_base64(raw: bytes | None, value: object) -> None:
    assert body(Record(value=raw), "t", 0)["value"] == value


def batch(compression: int, *values: bytes, first: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=compression, is_transactional=False, producer_id=-1, producer_epoch=-1,
        base_sequence=-1, batch_size=2**30,
    )  # fmt: skip
    for offset, value in enumerate(values):
        builder.append(offset, timestamp=0, key=None, value=value, headers=[])
    return first.to_bytes(8) + bytes(builder.build())[8:]


@pytest.mark.parametrize("compression", [0, 1, 2, 3, 4])
def test_records_come_out_of_batches_as_they_went_in(compression: int) -> None:
    values = [b"a" * 100, b"b", b""]
    content = batch(compression, *values) + batch(compression, b"c") + batch(compression, b"cut off")[:-1]
    found = list(batches(content))
    assert [[record.value for record in records(one)] for one in found] == [values, [b"c"]]
    assert (found[0].first, found[0].last) == (0, 2)


@pytest.mark.parametrize("compression", [1, 2, 3, 4])
def test_a_batch_that_grows_past_its_bound_is_not_read(compression: int) -> None:
    (one,) = batches(batch(compression, b"\0" * (MAX_INFLATED + 1)))
    with pytest.raises(Unreadable, match="once it is decompressed"):
        records(one)


@given(st.sampled_from([0, 1, 2, 3, 4]), st.data())
def test_a_damaged_batch_is_told_from_a_whole_one(compression: int, data: st.DataObject) -> None:
    content = bytearray(batch(compression, b"abc" * 20, b"d"))
    place = data.draw(st.integers(17, len(content) - 1))  # behind what its checksum does not cover
    content[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unreadable):
        [list(records(one)) for one in batches(bytes(content))]


@given(st.binary(max_size=300))
def test_garbage_is_no_batch_or_refused(content: bytes) -> None:
    with suppress(Unreadable):
        assert [list(records(one)) for one in batches(content)] == []


async def test_a_batch_that_lies_about_its_records_is_passed_over_and_what_lies_behind_is_read() -> None:
    """Its checksum fits, so only the record itself shows that something is wrong."""
    liar = bytearray(batch(0, b"good", b"bad", first=5))
    liar[liar.index(b"bad") - 1] = 0x7E  # a length beyond the end
    liar[17:21] = calc_crc32c(bytes(liar[21:])).to_bytes(4)
    request = TopicRequest(servers=("kafka:1",), topic="t", positions={0: Position(5)}, max_bytes=9, max_messages=9)
    reading = Reading(request, lambda: 0)
    reading._take_all(0, bytes(liar) + batch(0, b"behind", first=7), 9)
    assert [message.key for message in reading._messages] == ["kafka/t/0/5", "kafka/t/0/7"]
    (told,) = reading._skipped
    assert told.reason == "the message at offset 6 of partition 0 is damaged; it starts no run"
    assert reading._positions == {0: Position(8)}


class Inner(asyncio.Protocol):
    def __init__(self) -> None:
        self.got = b""

    def data_received(self, data: bytes) -> None:
        self.got += data


@given(
    st.lists(st.binary(max_size=20), max_size=6), st.integers(1, 9), st.sampled_from([MAX_ANSWER + 1, 2**31 - 1, -1])
)
def test_answers_are_handed_on_in_whatever_pieces_they_come_until_one_is_too_large(
    answers: list[bytes], piece: int, announced: int
) -> None:
    inner, cut = Inner(), []
    bounded = _Bounded(inner, lambda: cut.append(1))
    whole = b"".join(len(answer).to_bytes(4) + answer for answer in answers)
    for place in range(0, len(whole), piece):
        bounded.data_received(whole[place : place + piece])
    assert (inner.got, cut) == (whole, [])
    bounded.data_received(announced.to_bytes(4, signed=True))
    assert (inner.got, cut) == (whole, [1])
