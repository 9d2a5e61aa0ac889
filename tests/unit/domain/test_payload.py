"""Bodies of webhooks as JSON: every format, its limits, and that nothing raises."""

import base64
import gzip
import time
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.hook.cloudevent import CloudEvent, MalformedEvent, read_event
from domain.values.charset import text_of
from domain.values.inflate import Corrupt, TooLarge, Unsupported, inflate
from domain.values.multipart import MAX_FILE_CONTENT, MAX_PARTS
from domain.values.payload import MAX_FORM_FIELDS, Payload, flaw, parse_payload
from domain.values.xml import MAX_NODES
from tests.support.webhooks import github_examples

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=XX"


def part(name: str, content: bytes, extra: str = "") -> bytes:
    return b'--XX\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (
        name.encode(),
        extra.encode(),
        content,
    )


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"a":[1,2.5,null,true,"x"]}', Payload({"a": [1, 2.5, None, True, "x"]}, "json")),
        ("application/vnd.api+json; charset=utf-8", b'"x"', Payload("x", "json")),
        ("application/json", b'\xef\xbb\xbf{"a":1}', Payload({"a": 1}, "json")),
        ("application/json; charset=iso-8859-1", b'{"a":"\xfc"}', Payload({"a": "ü"}, "json")),
        ("application/json; charset=utf-16", '{"a":"ü"}'.encode("utf-16"), Payload({"a": "ü"}, "json")),
        ("", b' {"a":1}', Payload({"a": 1}, "json")),
        ("", b"[not json", Payload("[not json", "text")),
        ("", "grüß".encode(), Payload("grüß", "text")),
        ("", b"\xff\xfe", Payload("//4=", "binary")),
        ("", b"", Payload(None, "text")),
        ("application/json", b"", Payload(None, "json")),
        (FORM, b"", Payload(None, "form")),
        (FORM, b"a=1&b=x+y%26&a=2&c=&d", Payload({"a": ["1", "2"], "b": "x y&", "c": "", "d": ""}, "form")),
        (FORM, "a=ü&b=%C3%BC&c=%FF".encode(), Payload({"a": "ü", "b": "ü", "c": "ÿ"}, "form")),
        (
            FORM,
            b"charset=windows-1252&n=Garc%EDa&m=Garc\xeda&e=%80&u=%C3%AD",
            Payload({"charset": "windows-1252", "n": "García", "m": "García", "e": "€", "u": "í"}, "form"),
        ),
        (FORM + "; charset=utf-8", b"n=%ED", Payload({"n": "\ufffd"}, "form")),
        (FORM, b"n=%FF%FEa", Payload({"n": "ÿþa"}, "form")),
        ("text/csv", b"n\nGarc\xeda \x80", Payload("n\nGarcía €", "text")),
        ("text/plain; charset=ISO-8859-1", b"\x93\x80\x94", Payload("“€”", "text")),
        ("text/plain; charset=latin5", b"\xfe\x80", Payload("ş€", "text")),
        (FORM, b'{"a":1}', Payload({"a": 1}, "json")),
        (FORM, b"payload=%7B%22a%22%3A1%7D&x=1", Payload({"payload": {"a": 1}, "x": "1"}, "form")),
        (FORM, b"payload=%7Boops", Payload({"payload": "{oops"}, "form")),
        ("text/plain; charset=iso-8859-1", b"gr\xfc\xdf", Payload("grüß", "text")),
        ("text/plain; charset=nonsense", "grüß".encode(), Payload("grüß", "text")),
        ("text/plain; charset=punycode", b"abc-", Payload("abc-", "text")),
        ("text/plain; charset=zlib", b"abc", Payload("abc", "text")),
        ('text/plain; charset="UTF-8"', b"\xff", Payload("\ufffd", "text")),
        ("text/plain", b'{"a":1}', Payload({"a": 1}, "json")),
        ("text/plain; charset=UTF-8", b' [{"Type":"Notification"}]\n', Payload([{"Type": "Notification"}], "json")),
        ("text/plain; charset=utf-16", '{"a":"ü"}'.encode("utf-16-le"), Payload({"a": "ü"}, "json")),
        ("text/plain; charset=iso-8859-1", b'{"a":"\xfc"}', Payload({"a": "ü"}, "json")),
        ("text/plain", b"\xef\xbb\xbf[1]", Payload([1], "json")),
        ("text/plain", b'{"a":1} and more', Payload('{"a":1} and more', "text")),
        ("text/plain", b"[" * 100, Payload("[" * 100, "text")),
        ("text/plain", b"7", Payload("7", "text")),
        ("text/plain", b"null", Payload("null", "text")),
        ("text/plain", b'"x"', Payload('"x"', "text")),
        ("text/html", b"[1]", Payload("[1]", "text")),
        ("text/plain", b"a\0b", Payload("a\0b", "text")),
        ("text/plain", "\ufeffgrüß".encode("utf-16-be"), Payload("grüß", "text")),
        ("text/plain; charset=us-ascii", "grüß".encode(), Payload("grüß", "text")),
        ("application/json; charset=iso-8859-15", b'{"a":"\xa4"}', Payload({"a": "€"}, "json")),
        ("application/json; charset=Windows-1252", b'{"a":"\x80"}', Payload({"a": "€"}, "json")),
        ('application/json; charset="UTF-32"', '{"a":"ü"}'.encode("utf-32-be"), Payload({"a": "ü"}, "json")),
        ("application/json; charset=utf-16", b'{"a":1}', Payload({"a": 1}, "json")),
        ("application/json", '{"a":"ü"}'.encode("utf-16-le"), Payload({"a": "ü"}, "json")),
        ("application/json; charset=iso-8859-1", b'\xef\xbb\xbf{"a":"\xc3\xbc"}', Payload({"a": "ü"}, "json")),
        ("application/json", b" \r\n", Payload(None, "json")),
        ("application/json", b"\xef\xbb\xbf", Payload(None, "json")),
        ("application/json", b'{"c":1e400,"id":7}', Payload({"c": "1e400", "id": 7}, "json")),
        ("application/json", rb'{"t":"a\ud800"}', Payload({"t": "a\ufffd"}, "json")),
        ("application/json", rb'{"t":"a\u0000"}', Payload({"t": "a\0"}, "json")),
        (FORM, b"\xef\xbb\xbfa=1&b=2", Payload({"a": "1", "b": "2"}, "form")),
        (FORM, b"%EF%BB%BFa=1&b=%EF%BB%BF", Payload({"a": "1", "b": "\ufeff"}, "form")),
        (
            FORM + "; charset=windows-1252",
            b"n=Garc%EDa&m=Garc\xeda&e=%80",
            Payload({"n": "García", "m": "García", "e": "€"}, "form"),
        ),
        (FORM + "; charset=ISO-8859-1", b"n=Garc%EDa", Payload({"n": "García"}, "form")),
        (FORM + "; charset=shift_jis", b"n=%83e%83X%83g", Payload({"n": "テスト"}, "form")),
        (FORM + "; charset=utf-16", "n=García&m=%C3%AD".encode("utf-16"), Payload({"n": "García", "m": "í"}, "form")),
        (FORM + "; charset=UTF-8", b"n=Garc%C3%ADa", Payload({"n": "García"}, "form")),
        (FORM, b"a=%00", Payload({"a": "\0"}, "form")),
        (FORM, b'\xef\xbb\xbf{"a":"&"}', Payload({"a": "&"}, "json")),
        ("text/xml; charset=iso-8859-1", b"<a>\xfc</a>", Payload({"a": "ü"}, "xml")),
        ("text/xml", "<a>ü</a>".encode("utf-16"), Payload({"a": "ü"}, "xml")),
        ("text/xml", b"\xef\xbb\xbf<a/>", Payload({"a": ""}, "xml")),
        ("application/x-thing; charset=iso-8859-1", b"\xfc", Payload("ü", "text")),
        ("text/csv", b"a,b", Payload("a,b", "text")),
        ("application/x-yaml", b"a: 1", Payload("a: 1", "text")),
        ("application/x-thing", b"\0\1", Payload("AAE=", "binary")),
        ("application/x-thing", b"text", Payload("text", "text")),
        ("application/octet-stream", b"", Payload(None, "binary")),
        *(
            (content_type, b"text", Payload("dGV4dA==", "binary"))
            for content_type in (
                *("application/octet-stream", "application/pdf", "application/zip", "Application/X-Protobuf; a=b"),
                *("application/protobuf", "application/msgpack", "application/x-msgpack", "application/vnd.msgpack"),
                *("image/x-any", "audio/mpeg", "video/mp4", "font/ttf", "model/stl", "application/pdf; charset=utf-8"),
            )
        ),
        ("image/png", b"\x89PNG", Payload("iVBORw==", "binary")),
        ("application/xml", b'<a x="1"><b>2</b></a>', Payload({"a": {"@x": "1", "b": "2"}}, "xml")),
        ("image/svg+xml", b"<svg/>", Payload({"svg": ""}, "xml")),
        (";;;", b"x", Payload("x", "text")),
        ("application/json, application/json", b'{"a":1}', Payload({"a": 1}, "json")),
        ("application/json charset=utf-8", b'{"a":1}', Payload({"a": 1}, "json")),
        ("text/x-json", b'{"a":1}', Payload({"a": 1}, "json")),
        ("application/csp-report", b'{"a":1}', Payload({"a": 1}, "json")),
        ("text/plain; charset=Shift_JIS", "①テスト".encode("cp932"), Payload("①テスト", "text")),
        ("text/plain; charset=windows-31j", "①テスト".encode("cp932"), Payload("①テスト", "text")),
        ("text/plain; charset=gb2312", "镕".encode("gbk"), Payload("镕", "text")),
        ("text/plain; charset=windows-874", "ไทย".encode("cp874"), Payload("ไทย", "text")),
        (
            "text/xml",
            b'<?xml version="1.0" encoding="Shift_JIS"?>\n<a>' + "①".encode("cp932") + b"</a>",
            Payload({"a": "①"}, "xml"),
        ),
        ("text/xml", b'<?xml version="1.0" encoding="iso-8859-15"?><a>\xa4</a>', Payload({"a": "€"}, "xml")),
        ("text/xml", b'\r\n<?xml version="1.0"?><a/>', Payload({"a": ""}, "xml")),
        (
            "text/xml; charset=utf-8",
            '<?xml version="1.0" encoding="ISO-8859-1"?><a>ü</a>'.encode(),
            Payload({"a": "ü"}, "xml"),
        ),
        ("text/xml", '\ufeff<?xml version="1.0" encoding="ISO-8859-1"?><a>ü</a>'.encode(), Payload({"a": "ü"}, "xml")),
        ("text/xml", '<?xml version="1.0" encoding="utf-16"?><a>ü</a>'.encode(), Payload({"a": "ü"}, "xml")),
        (
            "application/soap+xml; charset=utf-8",
            '<?xml version="1.0" encoding="utf-16"?><a>ü</a>'.encode(),
            Payload({"a": "ü"}, "xml"),
        ),
        ("text/xml; charset=utf-16", '<?xml version="1.0"?><a>ü</a>'.encode("utf-16-be"), Payload({"a": "ü"}, "xml")),
        ("text/xml; charset=utf-16", b"<a>b</a>", Payload({"a": "b"}, "xml")),
        ("text/xml", '<?xml version="1.0"?><a>ü</a>'.encode("utf-16-le"), Payload({"a": "ü"}, "xml")),
        ("text/xml", b'<?xml version="1.0" encoding="ISO-8859-1"?><a>\x80</a>', Payload({"a": "€"}, "xml")),
        ("text/xml", b'<?xml version="1.0" encoding="nonsense"?><a/>', Payload({"a": ""}, "xml")),
        ("text/xml", b"<a>Garc\xeda</a>", Payload({"a": "García"}, "xml")),
    ],
)
def test_a_body_as_it_is_described(content_type: str, body: bytes, expected: Payload) -> None:
    assert parse_payload(content_type, body) == expected


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"a":'),
        ("application/json", b"\xff"),
        ("application/json", b"NaN"),
        ("application/json", b'{"a":1}}'),
        ("application/json", b"[" * 100_000 + b"]" * 100_000),
        (FORM, b"&".join([b"a=1"] * (MAX_FORM_FIELDS + 1))),
        ("multipart/form-data", b"x"),
        (MULTIPART, b"x"),
        (MULTIPART, part("a", b"1")),
        (MULTIPART, part("a", b"1") * (MAX_PARTS + 1) + b"--XX--\r\n"),
        (MULTIPART, b"--XX\r\n" + b"X-A: 1\r\n" * 9 + b"\r\n\r\n--XX--\r\n"),
        (MULTIPART, b"--XX\r\nX-A: " + b"a" * 5_000 + b"\r\n\r\n\r\n--XX--\r\n"),
        ("text/xml", b"<a>"),
        ("text/xml", b"no xml"),
        ("text/xml", b"<a>" * 100 + b"</a>" * 100),
        ("text/xml", b"<a>" * 50_000 + b"</a>" * 50_000),
        ("text/xml", b"<r>" + b"<a/>" * MAX_NODES + b"</r>"),
        ("text/xml", b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>'),
        ("text/xml", b"<!DOCTYPE a><a/>"),
        ("text/xml", b'<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><a/>'),
        ("text/xml", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    ],
)
def test_what_does_not_parse_is_text_with_the_reason(content_type: str, body: bytes) -> None:
    began = time.process_time()
    payload = parse_payload(content_type, body)
    assert payload.kind == "text"
    assert payload.data == text_of(body)
    assert payload.error
    assert time.process_time() - began < 1


def test_multipart_has_fields_and_files() -> None:
    body = (
        part("name", "Ada ü".encode())
        + part("tag", b"1")
        + part("tag", b"2")
        + part("file", b"\0\1--XX", '; filename="a \xfc.png"\r\nContent-Type: image/png')
        + part("big", b"x" * (MAX_FILE_CONTENT + 1), '; filename="big"')
        + b"--XX--\r\n"
    )
    payload = parse_payload(MULTIPART, body)
    assert payload.kind == "multipart"
    file = {
        "filename": "a ü.png",
        "content_type": "image/png",
        "size": 6,
        "content": base64.b64encode(b"\0\1--XX").decode(),
    }
    big = {"filename": "big", "content_type": "application/octet-stream", "size": MAX_FILE_CONTENT + 1, "content": None}
    assert payload.data == {"name": "Ada ü", "tag": ["1", "2"], "file": file, "big": big}


@pytest.mark.parametrize(
    ("content_type", "content", "value"),
    [
        ("application/json", b'{"event": "media.play", "a": [1]}', {"event": "media.play", "a": [1]}),
        ("Application/JSON; charset=utf-8", b"\r\n[1, 2]", [1, 2]),
        ("application/ld+json", b"{}", {}),
        ("application/json; charset=windows-1252", b'{"a": "Garc\xeda"}', {"a": "García"}),
        ("application/json", b"\xef\xbb\xbf{}", {}),
        ("application/json", b'{"a": }', '{"a": }'),
        ("application/json", b"[" * 100, "[" * 100),
        ("application/json", b"7", "7"),
        ("application/json", b"", ""),
        ("text/plain", b"{}", "{}"),
        ("", b"{}", "{}"),
    ],
)
def test_a_part_that_says_it_is_json_is_its_object_or_list(content_type: str, content: bytes, value: object) -> None:
    named = f"\r\nContent-Type: {content_type}" if content_type else ""
    body = part("payload", content, named) + part("x", b"1") + b"--XX--\r\n"
    assert parse_payload(MULTIPART, body).data == {"payload": value, "x": "1"}


def test_a_file_of_json_stays_a_file() -> None:
    body = part("f", b"{}", '; filename="a.json"\r\nContent-Type: application/json') + b"--XX--\r\n"
    data: Any = parse_payload(MULTIPART, body).data
    assert (data["f"]["filename"], data["f"]["content"]) == ("a.json", "e30=")


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b"name=\"f\"; filename*=UTF-8''%e2%82%ac.txt", "€.txt"),
        (b'name="f"; filename="x.txt"; filename*=iso-8859-1\'en\'%e9.txt', "é.txt"),
        (b'name="f"; filename="caf\xe9.txt"', "café.txt"),
        ('name="f"; filename="€.txt"'.encode(), "€.txt"),
        (b'name="f"; filename="C:\\docs\\x.txt"', "x.txt"),
        (b'name="f"; filename="a\\"b;c.txt"', 'a"b;c.txt'),
        (b'name="f"; filename=""', ""),
    ],
)
def test_a_file_is_a_file_however_its_name_is_written(disposition: bytes, filename: str) -> None:
    body = b"--XX\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\nhi\r\n--XX--\r\n"
    data: Any = parse_payload(MULTIPART, body).data
    assert (data["f"]["filename"], data["f"]["content"]) == (filename, "aGk=")


def test_a_form_names_the_charset_of_its_parts() -> None:
    body = part("NAME", b"Garc\xeda").replace(b"NAME", b"s\xed") + b"--XX--\r\n"
    assert parse_payload(MULTIPART + "; charset=iso-8859-1", body).data == {"sí": "García"}


def test_a_part_of_a_form_names_its_charset() -> None:
    head = b'--XX\r\nContent-Disposition: form-data; name="n"\r\nContent-Type: text/plain; charset=windows-1252\r\n\r\n'
    assert parse_payload(MULTIPART, head + b"Garc\xeda\r\n--XX--\r\n").data == {"n": "García"}


def test_xml_keeps_attributes_text_repeats_and_prefixes() -> None:
    body = b"""<?xml version="1.0" encoding="iso-8859-1"?>
        <s:e xmlns:s="urn:s"><i n="1">a\xfc</i><i>b</i><m>x<b>y</b>z</m><!-- c --><c><![CDATA[<&>]]></c></s:e>"""
    assert parse_payload("text/xml", body).data == {
        "s:e": {
            "@xmlns:s": "urn:s",
            "i": [{"@n": "1", "#text": "aü"}, "b"],
            "m": {"b": "y", "#text": "xz"},
            "c": "<&>",
        }
    }


def test_every_github_example_is_json_with_and_without_saying_so() -> None:
    for _event, body in github_examples():
        payload = parse_payload("application/json", body)
        assert (payload.kind, payload.error) == ("json", "")
        assert isinstance(payload.data, dict)
        assert parse_payload("", body) == payload


content_types = st.sampled_from(
    [
        "",
        "application/json",
        FORM,
        MULTIPART,
        "multipart/form-data; boundary=",
        "text/xml",
        "text/plain; charset=utf-16",
        "text/plain; charset=idna",
        "text/plain; charset=\0",
        "application/json; charset=utf-7",
        "application/octet-stream",
        "a/b",
    ]
)
pieces = st.sampled_from(
    [
        b"--XX",
        b"--XX--",
        b"\r\n",
        b"Content-Disposition: form-data; name=",
        b"Content-Type: text/plain; charset=x",
        b'"a"',
        b"; ",
        b"filename*=utf-8''%ff",
        b"Content-Length: 9",
        b"<a",
        b">",
        b"</a>",
        b"<![CDATA[",
        b"]]>",
        b"<!DOCTYPE a>",
        b"&lt;",
        b"&x;",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b'"',
        b"\\ud800",
        b"1",
        b"%",
        b"&",
        b"=",
        b"\xff",
        b"\0",
        b"payload=",
        b"%7B",
        b"<?xml",
    ]
)


@settings(max_examples=600, deadline=None)
@given(content_types | st.text(), st.binary() | st.lists(pieces, max_size=20).map(b"".join))
def test_nothing_raises(content_type: str, body: bytes) -> None:
    payload = parse_payload(content_type, body)
    assert isinstance(payload, Payload)
    assert not payload.error or payload.kind == "text"


claims = st.sampled_from(["", "application/json", "a/b+json; charset=utf-16", "application/json; charset=cp1252", FORM])


@settings(max_examples=600, deadline=None)
@given(claims, st.binary(max_size=20) | st.lists(pieces, max_size=12).map(b"".join))
def test_what_the_intake_lets_in_is_for_templates_what_it_claims_to_be(content_type: str, body: bytes) -> None:
    payload = parse_payload(content_type, body)
    if not flaw(content_type, body):
        assert payload.error == ""
        assert payload.kind == "json" or "json" not in content_type
    elif content_type:
        assert payload.error
    else:
        assert payload.kind in {"text", "binary"}


def test_a_form_has_a_bound_and_json_sent_as_a_form_is_not_counted() -> None:
    assert flaw(FORM, b"&" * MAX_FORM_FIELDS)
    assert not flaw(FORM, b"&" * (MAX_FORM_FIELDS - 1))
    assert flaw(FORM + "; charset=utf-16", ("a&" * MAX_FORM_FIELDS).encode("utf-16"))
    assert not flaw(FORM, b'["' + b"&" * MAX_FORM_FIELDS + b'"]')


# --- compression

raw_deflate = zlib.compressobj(wbits=-15)
RAW_DEFLATE = raw_deflate.compress(b"hello") + raw_deflate.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        (
            "gzip",
            gzip.compress(b"hel", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"lo", mtime=0) + b"\0" * 9,
        ),
        ("x-GZIP ", gzip.compress(b"hello", mtime=0)),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", RAW_DEFLATE),
        ("identity", b"hello"),
        ("", b"hello"),
    ],
)
def test_inflate(encoding: str, body: bytes) -> None:
    assert inflate(encoding, body, 5) == b"hello"
    assert inflate(encoding, body, 4) == TooLarge(4)


def test_inflate_stops_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    began = time.process_time()
    assert inflate("gzip", bomb, 1_000) == TooLarge(1_000)
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    "body",
    [b"", b"x", gzip.compress(b"hello", mtime=0)[:-1], gzip.compress(b"hello", mtime=0) + b"x", zlib.compress(b"x")],
)
def test_inflate_refuses_what_is_broken(body: bytes) -> None:
    assert inflate("gzip", body, 100) == Corrupt("gzip")


def test_a_gzip_body_of_very_many_empty_members_is_broken() -> None:
    body = gzip.compress(b"", mtime=0) * 100_000
    began = time.process_time()
    assert inflate("gzip", body, 100) == Corrupt("gzip")
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "\0", "x" * 1_000])
def test_inflate_knows_two_codings(encoding: str) -> None:
    assert inflate(encoding, b"", 100) == Unsupported(encoding[:50])


@given(st.sampled_from(["gzip", "deflate", "identity"]) | st.text(), st.binary(), st.integers(0, 50))
def test_inflate_never_raises_and_never_gives_more(encoding: str, body: bytes, limit: int) -> None:
    result = inflate(encoding, body, limit)
    assert not isinstance(result, bytes) or len(result) <= limit


# --- CloudEvents

CE = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
STRUCTURED: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def read(headers: dict[str, str], body: bytes = b"") -> CloudEvent | None:
    return read_event([(name.encode(), value.encode()) for name, value in headers.items()], body)


def test_binary_event() -> None:
    event = read(
        {**CE, "Ce-Subject": "a%20%C3%BC%25", "ce-bad_name": "x", "Content-Type": "application/json"}, b'{"a":1}'
    )
    assert event is not None
    attributes = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "a ü%"}
    assert event.attributes == {**attributes, "datacontenttype": "application/json"}
    assert event.payload == Payload({"a": 1}, "json")
    assert event.delivery_id == "/s 1"


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        ("%25%32%30", "%20"),
        ("100%", "100%"),
        ("%zz", "%zz"),
        ('"a \\"b\\" c"', 'a "b" c'),
        ("%e2%82%AC", "€"),
        ("€", "€"),
    ],
)
def test_one_round_of_decoding(raw: str, decoded: str) -> None:
    event = read({**CE, "ce-x": raw})
    assert event is not None
    assert event.attributes["x"] == decoded


@pytest.mark.parametrize("raw", ["%C0%A0", "%FF", "%ED%A0%80"])
def test_text_that_is_not_utf8_is_refused(raw: str) -> None:
    with pytest.raises(MalformedEvent, match="UTF-8"):
        read({**CE, "ce-x": raw})


@pytest.mark.parametrize("missing", CE)
def test_required_attributes(missing: str) -> None:
    headers = {name: value for name, value in CE.items() if name != missing}
    if missing == "ce-specversion":
        assert read(headers) is None
        return
    for changed in (headers, {**CE, missing: ""}):
        with pytest.raises(MalformedEvent, match=missing.removeprefix("ce-")):
            read(changed)


def test_a_doubled_attribute_is_refused() -> None:
    with pytest.raises(MalformedEvent, match="twice"):
        read({**CE, "CE-ID": "2"})


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b'{"data":{"a":1},', Payload({"a": 1}, "json")),
        (b"{", Payload(None, "json")),
        (b'{"data_base64":"eyJhIjoxfQ==","datacontenttype":"application/json",', Payload({"a": 1}, "json")),
        (b'{"data_base64":"/w==",', Payload("/w==", "binary")),
    ],
)
def test_structured_event(body: bytes, payload: Payload) -> None:
    event = read(
        {"content-type": "application/cloudevents+json; charset=utf-8"},
        body + b'"specversion":"1.0","id":"1","source":"/s","type":"t"}',
    )
    assert event is not None
    assert event.payload == payload
    assert STRUCTURED.items() <= event.attributes.items()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"specversion":"0.3","id":"1","source":"/s","type":"t"}', b'{"id":1}', b"x"]
)
def test_malformed_structured_events(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        read({"content-type": "application/cloudevents+json"}, body)


def test_a_batch_is_an_ordinary_body() -> None:
    assert read({"content-type": "application/cloudevents-batch+json"}, b"[]") is None


event_headers = st.lists(
    st.tuples(st.sampled_from([name.encode() for name in CE]) | st.binary(max_size=9), st.binary(max_size=9))
)


@given(event_headers, st.booleans(), st.binary())
def test_reading_events_raises_nothing_else(headers: list[tuple[bytes, bytes]], structured: bool, body: bytes) -> None:
    extra = [(b"content-type", b"application/cloudevents+json")] if structured else [(b"ce-specversion", b"1.0")]
    with suppress(MalformedEvent):
        read_event([*extra, *headers], body)
