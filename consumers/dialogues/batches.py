"""Record batches as brokers send them (Kafka's message format 2): cut apart, checked, and inflated within a bound.

aiokafka reads the records, once a batch is known to be small: 100 kB may hold 10 GB.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress

import cramjam
import msgspec
from aiokafka.record.default_records import DefaultRecordBatch

from consumers.dialogues.bodies import Record
from consumers.outbound.coding import undone
from domain.values.inflate import TooLarge

MAX_INFLATED = 32 * 2**20
"""Bytes of a batch behind its compression."""
_HEAD = struct.Struct(">qiibIhi")
_WHOLE_HEAD = 61
_PREFIX = 12
_LENGTH_AT, _MAGIC_AT, _ATTRIBUTES_AT = 8, 16, 21
_CODECS = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_CODEC_MASK, _CONTROL_MASK = 7, 32
_XERIAL = b"\x82SNAPPY\0"
_XERIAL_HEAD = 16


class Unreadable(Exception):
    """A batch that is too large or damaged. The message says which, as a part of a sentence."""


class Batch(msgspec.Struct, frozen=True):
    """The records from `first` to `last`. `control`: none of a producer's, but marks of transactions."""

    first: int
    last: int
    control: bool
    content: bytes


def batches(content: bytes) -> Iterator[Batch]:
    """The whole batches of an answer; a broker may cut off the last one. Raises Unreadable for an older format."""
    place = 0
    while place + _WHOLE_HEAD <= len(content):
        first, length, _epoch, magic, _crc, attributes, delta = _HEAD.unpack_from(content, place)
        if magic != 2:
            raise Unreadable("in a message format older than Kafka 0.11")
        end = place + _PREFIX + length
        if length < _WHOLE_HEAD - _PREFIX or delta < 0:
            raise Unreadable("damaged")
        if end > len(content):
            return
        yield Batch(first, first + delta, bool(attributes & _CONTROL_MASK), content[place:end])
        place = end


def records(batch: Batch) -> Iterator[Record]:
    """The records of a batch. Raises Unreadable at once, and later what aiokafka does where a record is damaged."""
    if not DefaultRecordBatch(batch.content).validate_crc():
        raise Unreadable("damaged")
    codec = batch.content[_ATTRIBUTES_AT + 1] & _CODEC_MASK
    if not codec:
        return iter(DefaultRecordBatch(batch.content))
    plain = bytearray(batch.content[:_WHOLE_HEAD])
    plain[_ATTRIBUTES_AT + 1] &= ~_CODEC_MASK
    plain += _inflated(_CODECS.get(codec, ""), batch.content[_WHOLE_HEAD:])
    plain[_LENGTH_AT:_PREFIX] = (len(plain) - _PREFIX).to_bytes(4)
    return iter(DefaultRecordBatch(bytes(plain)))


def _inflated(codec: str, content: bytes) -> bytes:
    match codec:
        case "gzip" | "zstd":
            found = undone(content, [codec], MAX_INFLATED)
            if isinstance(found, TooLarge):
                raise Unreadable(f"more than {MAX_INFLATED:,} bytes once it is decompressed")
            if isinstance(found, bytes):
                return found
        case "lz4":
            return _lz4(content)
        case "snappy":
            return _snappy(content)
    raise Unreadable("damaged")


def _lz4(content: bytes) -> bytes:
    """Into a buffer of limited size: there is no other bound."""
    buffer = bytearray(MAX_INFLATED)
    with suppress(cramjam.DecompressionError):
        return bytes(memoryview(buffer)[: cramjam.lz4.decompress_into(content, buffer)])
    raise Unreadable(f"damaged, or more than {MAX_INFLATED:,} bytes once it is decompressed")


def _snappy(content: bytes) -> bytes:
    """One block, or many as Java's clients write them, each behind its length."""
    found: list[bytes] = []
    size = 0
    for block in _blocks(content):
        with suppress(cramjam.DecompressionError):
            size += cramjam.snappy.decompress_raw_len(block)
            if size > MAX_INFLATED:
                raise Unreadable(f"more than {MAX_INFLATED:,} bytes once it is decompressed")
            found.append(bytes(cramjam.snappy.decompress_raw(block)))
            continue
        raise Unreadable("damaged")
    return b"".join(found)


def _blocks(content: bytes) -> Iterator[bytes]:
    if not content.startswith(_XERIAL):
        yield content
        return
    place = _XERIAL_HEAD
    while place < len(content):
        end = place + 4 + int.from_bytes(content[place : place + 4])
        yield content[place + 4 : end]
        place = end
