"""What http.request makes of answers: nothing is lost or guessed, and nothing is sent twice for it."""

import base64
import codecs
import gzip
import sys
import zlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

import brotli
import msgspec
import pytest

from consumers.connectors.http import CONNECTOR
from consumers.outbound.client import Outbound
from domain.connector.descriptor import ActionContext
from domain.connector.outcome import Failed, Outcome, Retry, Succeeded
from tests.support.clock import FixedClock
from tests.support.raw_target import RawTarget

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

(ACTION,) = CONNECTOR.actions
MIB = 2**20


def packed(content: bytes) -> bytes:
    compressor = brotli.Compressor(quality=5)
    return bytes(compressor.process(content) + compressor.finish())


def raw_deflate(content: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(content) + stream.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": packed,
    "zstd": zstd.compress,
    "gzip, br": lambda content: packed(gzip.compress(content)),
}


async def run(http: Outbound, target: RawTarget, **config: Any) -> Outcome:
    config = {"url": target.url, **config}
    return await ACTION.run(config, ActionContext(http, "run.step", UUID(int=1), FixedClock()))


async def output(http: Outbound, target: RawTarget, **config: Any) -> dict[str, Any]:
    outcome = await run(http, target, **config)
    assert isinstance(outcome, Succeeded), outcome
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(outcome.output))
    assert found == outcome.output
    return found


@pytest.mark.parametrize("size", [9_000, 60_000])
async def test_a_long_header_is_read(http: Outbound, target: RawTarget, size: int) -> None:
    target.says("X-Long: " + "x" * size, body=b"ok")
    assert (await output(http, target))["headers"]["x-long"] == "x" * size
    assert len(target.requests) == 1


UNREADABLE = [
    b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    b"HTTP/1.1 two hundred\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(40_000)) + b"\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + gzip.compress(b"hello" * 99)[:20],
    b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 9009\r\n\r\n" + zstd.compress(b"") * 1_001,
    b"HTTP/1.1 103 E\r\n\r\n" * 40,
    b"HTTP/1.1 103 E\r\n\r\n" * 200_000,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 3_000_000 + b"\r\nx\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("answer", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_an_answer_that_can_not_be_read_fails_for_good(http: Outbound, target: RawTarget, answer: bytes) -> None:
    target.answer = answer
    outcome = await run(http, target)
    assert isinstance(outcome, Failed), outcome
    assert outcome.code == "unreadable"
    assert outcome.message.startswith("the answer can't be read: ")
    assert len(target.requests) == 1


async def test_an_answer_in_a_million_parts_costs_the_connection(http: Outbound, target: RawTarget) -> None:
    target.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2_000_000 + b"0\r\n\r\n"
    outcome = await run(http, target)
    assert isinstance(outcome, Failed), outcome
    assert outcome.code == "unreadable"
    target.says(body=b"x" * 1_000_000)
    assert (await output(http, target))["size"] == 1_000_000


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
async def test_a_connection_that_breaks_is_tried_again(http: Outbound, target: RawTarget, answer: bytes) -> None:
    target.answer, target.close = answer, True
    outcome = await run(http, target)
    assert isinstance(outcome, Retry)
    assert outcome.code == "broken"


async def test_headers_that_come_twice_are_a_list(http: Outbound, target: RawTarget) -> None:
    target.says("Set-Cookie: a=1", "Link: <x>", "set-cookie: b=2", "Link: <y>", "X-One: 1", "Set-Cookie: c=3")
    headers = (await output(http, target))["headers"]
    assert headers["set-cookie"] == ["a=1", "b=2", "c=3"]
    assert (headers["link"], headers["x-one"]) == (["<x>", "<y>"], "1")


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("content", [b'{"a":1}', b'"' + b"x" * 200_000 + b'"'])
async def test_content_codings_are_undone(http: Outbound, target: RawTarget, coding: str, content: bytes) -> None:
    target.says(f"Content-Encoding: {coding}", "Content-Type: application/json", body=CODINGS[coding](content))
    found = await output(http, target)
    assert (found["body"], found["size"]) == (msgspec.json.decode(content), len(content))


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        (
            ["Content-Encoding: gzip", "Content-Encoding: gzip"],
            gzip.compress(gzip.compress(b'{"a":1}', mtime=0), mtime=0),
        ),
        (["Content-Encoding: gzip"], gzip.compress(b'{"a"', mtime=0) + gzip.compress(b":1}", mtime=0) + b"\0\0"),
        (["Content-Encoding: aws-chunked, gzip"], gzip.compress(b'{"a":1}', mtime=0)),
        (["Content-Encoding: zstd"], zstd.compress(b'{"a"') + zstd.compress(b":1}")),
    ],
)
async def test_codings_in_several_headers_and_parts(
    http: Outbound, target: RawTarget, headers: list[str], content: bytes
) -> None:
    target.says(*headers, "Content-Type: application/json", body=content)
    assert (await output(http, target))["body"] == {"a": 1}


async def test_the_coding_of_the_transfer_is_undone(http: Outbound, target: RawTarget) -> None:
    packed = gzip.compress(b'{"a":1}')
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Type: application/json\r\n\r\n"
    target.answer = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    assert (await output(http, target))["body"] == {"a": 1}


@pytest.mark.parametrize("coding", ["utf-8", "identity", "", "none"])
async def test_a_coding_that_is_none_is_ignored(http: Outbound, target: RawTarget, coding: str) -> None:
    target.says(f"Content-Encoding: {coding}", "Content-Type: text/plain", body=b"hello")
    assert (await output(http, target))["body"] == "hello"


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_bomb_ends_in_a_clear_failure(http: Outbound, target: RawTarget, coding: str) -> None:
    target.says(f"Content-Encoding: {coding}", body=CODINGS[coding](b"\0" * (8 * MIB)))
    outcome = await run(http, target, max_bytes=MIB)
    assert isinstance(outcome, Failed)
    assert outcome.code == "answer_too_large"
    assert "1,048,576" in outcome.message
    assert len(target.requests) == 1


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("iso-8859-1", "iso-8859-1", "García Regiäo"),
        ("ISO-8859-15", "iso-8859-15", "10 € für Žofie"),
        ("windows-1252", "cp1252", "“quoted” – €"),
        ("utf-16", "utf-16", "zwölf €"),
        ("utf-16le", "utf-16-le", "zwölf €"),
        ("shift_jis", "shift_jis", "テスト"),
        ("Shift_JIS", "cp932", "①テスト"),
        ('"utf-8"', "utf-8", "zwölf €"),
        ("utf-8", "utf-8-sig", "zwölf €"),
        ("nonesuch", "utf-8", "zwölf €"),
        ("punycode", "utf-8", "zwölf €"),
    ],
)
async def test_text_and_json_are_decoded_by_their_charset(
    http: Outbound, target: RawTarget, charset: str, codec: str, text: str
) -> None:
    target.says(f"Content-Type: text/plain; charset={charset}", body=text.encode(codec))
    assert (await output(http, target))["body"] == text
    target.says(f"Content-Type: application/json; charset={charset}", body=f'{{"a": "{text}"}}'.encode(codec))
    assert (await output(http, target))["body"] == {"a": text}


@pytest.mark.parametrize(
    ("media_type", "content", "text"),
    [
        ("application/xml", b'<?xml version="1.0" encoding="iso-8859-15"?><a>\xa4</a>', "€</a>"),
        ("text/xml", b"<?xml version='1.0' encoding='Shift_JIS'?><a>\x87\x40</a>", "①</a>"),
        ("application/json", b'{"a": "\xe9}', '"é}'),
        ("text/plain", b"caf\xe9 \x80", "café €"),
    ],
)
async def test_text_that_names_no_charset_shows_it_or_is_guessed(
    http: Outbound, target: RawTarget, media_type: str, content: bytes, text: str
) -> None:
    target.says(f"Content-Type: {media_type}", body=content)
    assert (await output(http, target))["body"].endswith(text)


async def test_headers_are_utf8_or_windows_1252(http: Outbound, target: RawTarget) -> None:
    target.says("X-Latin: Garc\xeda", "X-UTF: " + "García".encode().decode("latin-1"), body=b"{}")
    headers = (await output(http, target))["headers"]
    assert (headers["x-latin"], headers["x-utf"]) == ("García", "García")


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "text/html"])
async def test_bytes_that_are_no_text_are_kept_exactly_whatever_their_type(
    http: Outbound, target: RawTarget, media_type: str
) -> None:
    target.says(f"Content-Type: {media_type}", body=PNG)
    found = await output(http, target)
    assert base64.b64decode(found["body"]["content"]) == PNG
    assert ("why_text" in found) == (media_type == "application/json")


@pytest.mark.parametrize("media_type", ["application/x-protobuf", "application/msgpack", "application/pdf"])
async def test_binary_types_are_kept_exactly_also_where_they_look_like_text(
    http: Outbound, target: RawTarget, media_type: str
) -> None:
    target.says(f"Content-Type: {media_type}", body=b"text")
    assert (await output(http, target))["body"] == {"content": "dGV4dA==", "content_type": media_type, "size": 4}


@pytest.mark.parametrize(
    ("header", "filename"),
    [
        ("attachment; filename*=UTF-8''%e2%82%ac.pdf", "€.pdf"),
        ("attachment; filename=\"a.pdf\"; filename*=utf-8''b.pdf", "b.pdf"),
        ('attachment; filename="a\\"b;c.pdf"', 'a"b;c.pdf'),
        ("inline; filename=plain.pdf", "plain.pdf"),
    ],
)
async def test_a_file_keeps_its_name(http: Outbound, target: RawTarget, header: str, filename: str) -> None:
    target.says("Content-Type: application/pdf", f"Content-Disposition: {header}", body=b"%PDF")
    assert (await output(http, target))["body"]["filename"] == filename


async def test_json_of_white_space_is_null_as_on_a_hook(http: Outbound, target: RawTarget) -> None:
    target.says("Content-Type: application/json", body=b" \r\n")
    found = await output(http, target)
    assert (found["body"], "why_text" in found) == (None, False)


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/problem+json", "text/json", "application/json charset=utf-8", ""]
)
@pytest.mark.parametrize(("mark", "codec"), [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le")])
async def test_json_may_begin_with_a_byte_order_mark(
    http: Outbound, target: RawTarget, media_type: str, mark: bytes, codec: str
) -> None:
    target.says(*([f"Content-Type: {media_type}"] if media_type else []), body=mark + '{"a": "ä"}'.encode(codec))
    assert (await output(http, target))["body"] == {"a": "ä"}


@pytest.mark.parametrize("text", ["1e5", "12.50", "null", "true", '"x"', "[1]", '{"a":1}', "0123", " 7 ", "NaN"])
@pytest.mark.parametrize("media_type", ["text/plain", "text/html", "text/csv; charset=utf-8"])
async def test_text_stays_text(http: Outbound, target: RawTarget, text: str, media_type: str) -> None:
    target.says(f"Content-Type: {media_type}", body=text.encode())
    found = await output(http, target)
    assert (found["body"], found["content_type"], found["size"]) == (text, media_type.partition(";")[0], len(text))


@pytest.mark.parametrize("number", ["1", "-0.1", "12.50", "123456789012345678901234567890", "1.7976931348623157e308"])
async def test_numbers_keep_their_value(http: Outbound, target: RawTarget, number: str) -> None:
    target.says("Content-Type: application/json", body=number.encode())
    assert (await output(http, target))["body"] == msgspec.json.decode(number)


@pytest.mark.parametrize(
    ("body", "content_type"), [(b"<html>no</html>", "application/json"), (b'{"a":', "application/x+json")]
)
async def test_json_that_is_none_is_text_and_says_why(
    http: Outbound, target: RawTarget, body: bytes, content_type: str
) -> None:
    target.says(f"Content-Type: {content_type}", body=body)
    found = await output(http, target)
    assert found["body"] == body.decode()
    assert content_type in found["why_text"]


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (PNG, "image/png"),
        (b"%PDF-1.7 ascii", "application/pdf"),
        (b"plain", "application/octet-stream"),
        (bytes(range(256)), "application/x-protobuf"),
        (b"\0\1\2", "application/whatever"),
        (b"\xff\xfe\xfd", ""),
    ],
)
async def test_what_is_not_text_is_kept_exactly_and_can_be_sent_on(
    http: Outbound, target: RawTarget, content: bytes, content_type: str
) -> None:
    headers = [f"Content-Type: {content_type}"] if content_type else []
    target.says(*headers, 'Content-Disposition: attachment; filename="it.bin"', body=content)
    kept = (await output(http, target))["body"]
    assert base64.b64decode(kept["content"]) == content
    assert kept["content_type"] == (content_type or "application/octet-stream")
    assert (kept["size"], kept["filename"]) == (len(content), "it.bin")
    await output(http, target, body_type="binary", body=kept)
    assert target.last.body == content


async def test_the_step_may_say_how_an_answer_is_read(http: Outbound, target: RawTarget) -> None:
    target.says("Content-Type: text/plain", body=b'{"a": 1}')
    assert (await output(http, target, response="json"))["body"] == {"a": 1}
    assert (await output(http, target, response="text"))["body"] == '{"a": 1}'
    assert (await output(http, target, response="binary"))["body"]["size"] == 8
    target.says("Content-Type: text/plain", body=b"no")
    outcome = await run(http, target, response="json")
    assert isinstance(outcome, Failed)
    assert (outcome.code, "was to be JSON" in outcome.message) == ("answer_not_json", True)


@pytest.mark.parametrize("size", [300_000, MIB])
async def test_json_is_whole_up_to_the_limit(http: Outbound, target: RawTarget, size: int) -> None:
    target.says("Content-Type: application/json", body=b'"' + b"x" * (size - 2) + b'"')
    found = await output(http, target)
    assert (len(found["body"]), found["size"], "truncated" in found) == (size - 2, size, False)


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_beyond_the_limit_the_step_fails_with_size_and_limit(
    http: Outbound, target: RawTarget, framing: str
) -> None:
    content = b'"' + b"x" * 312_017 + b'"'
    target.says("Content-Type: application/json", body=content)
    if framing == "chunked":
        target.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
            312_019,
            content,
        )
    outcome = await run(http, target, max_bytes=300_000)
    assert isinstance(outcome, Failed)
    assert outcome.code == "answer_too_large"
    assert "300,000" in outcome.message
    assert "312,019" in outcome.message or framing == "chunked"
    assert len(target.requests) == 1


async def test_a_failed_answer_that_is_too_large_is_cut_and_still_tried_again(
    http: Outbound, target: RawTarget
) -> None:
    target.says("Content-Type: text/plain", "Retry-After: 7", body=b"x" * 500_000, status="503 Busy")
    outcome = await run(http, target, max_bytes=1_000)
    assert isinstance(outcome, Retry)
    assert (outcome.code, outcome.after_s) == ("http_503", 7)
    found: Any = outcome.output
    assert (len(found["body"]), found["truncated"]) == (1_000, True)


async def test_an_answer_to_head_has_no_body(http: Outbound, target: RawTarget) -> None:
    target.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99999999\r\n\r\n"
    assert (await output(http, target, method="HEAD"))["body"] is None


async def test_an_answer_that_ends_a_chain_of_runs_fails_for_good(http: Outbound, target: RawTarget) -> None:
    target.says(body=b'{"code":"loop_detected"}', status="508 Loop Detected")
    outcome = await run(http, target)
    assert isinstance(outcome, Failed)
    assert outcome.code == "loop_detected"
