"""What http.request sends: the definition decides its kind, and nothing is changed on the way."""

import asyncio
import base64
import email.parser
import email.policy
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.connectors.http import CONNECTOR
from consumers.outbound.client import Outbound
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpRequest, Unreachable
from domain.connector.outcome import Failed, Outcome, Succeeded
from domain.connector.url import exact, with_query
from domain.language.template import render
from tests.support.clock import FixedClock
from tests.support.raw_target import RawTarget

(ACTION,) = CONNECTOR.actions
HOSTILE = ["plain", 'a "quoted" word', "line\nbreak", '"}, "x": {"', "[1, 2]", "null", "1e5", "{{ x }}", "ä\u2028", ""]


async def run(http: Outbound, target: RawTarget, config: dict[str, Any], **trigger: Any) -> Outcome:
    """One attempt of a step with this config, as the runner makes it."""
    config = {"url": target.url, **config}
    assert ACTION.problems(config) == {}
    rendered: Any = render(ACTION.prepared(config), {"trigger": {"body": trigger}})
    return await ACTION.run(rendered, ActionContext(http, "run.step", UUID(int=1), FixedClock()))


async def sent(http: Outbound, target: RawTarget, config: dict[str, Any], **trigger: Any) -> tuple[bytes, str]:
    """The body that arrives, and its type."""
    outcome = await run(http, target, config, **trigger)
    assert isinstance(outcome, Succeeded), outcome
    return target.last.body, ", ".join(target.last.values("content-type"))


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}, {"content-type": "application/x+json"}])
async def test_text_that_is_a_json_document_is_that_document_whatever_the_data(
    http: Outbound, target: RawTarget, text: str, headers: dict[str, str]
) -> None:
    body, kind = await sent(http, target, {"body": ' {"text": "{{ trigger.body.m }}!"}\n', "headers": headers}, m=text)
    assert msgspec.json.decode(body) == {"text": f"{text}!"}
    assert kind == (next(iter(headers.values())) if headers else "application/json")


@pytest.mark.parametrize("value", [*HOSTILE, 1, 1.5, 10**30, None, True, [1, "2"], {"a": {"b": None}}])
@pytest.mark.parametrize("template", ["{{ trigger.body.v }}", "  {{trigger.body.v}} ", '{{ trigger.body["v"] }}'])
async def test_a_lone_path_is_the_json_of_its_value(
    http: Outbound, target: RawTarget, value: Any, template: str
) -> None:
    body, kind = await sent(http, target, {"body": template}, v=value)
    assert msgspec.json.decode(body) == value
    assert kind == "application/json"


@pytest.mark.parametrize("text", HOSTILE)
async def test_any_other_text_is_text(http: Outbound, target: RawTarget, text: str) -> None:
    body, kind = await sent(http, target, {"body": "{{ trigger.body.a }}{{ trigger.body.b }}"}, a=text, b="!")
    assert (body.decode(), kind) == (f"{text}!", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"a": "{{ trigger.body.v }}"}, {"a": [1]}),
        (["{{ trigger.body.v }}", None], [[1], None]),
        ('"{{ trigger.body.v }}"', [1]),
        ("[1, 2.50, 123456789012345678901234567890]", [1, 2.5, 123456789012345678901234567890]),
        ("true", True),
        (7, 7),
        (False, False),
    ],
)
async def test_objects_lists_and_json_texts_are_json(
    http: Outbound, target: RawTarget, body: Any, expected: Any
) -> None:
    arrived, kind = await sent(http, target, {"body": body}, v=[1])
    assert (msgspec.json.decode(arrived), kind) == (expected, "application/json")


@pytest.mark.parametrize("media_type", ["text/csv", "application/xml", "text/plain; charset=utf-8", "application/ld"])
@pytest.mark.parametrize(
    "body", ["{{ trigger.body.v }}", '{"a": "{{ trigger.body.v }}"}', "<a>{{ trigger.body.v }}</a>"]
)
async def test_with_another_content_type_text_stays_as_it_is_written(
    http: Outbound, target: RawTarget, media_type: str, body: str
) -> None:
    arrived, kind = await sent(http, target, {"body": body, "headers": {"content-type": media_type}}, v="[1, 2]")
    assert (arrived.decode(), kind) == (body.replace("{{ trigger.body.v }}", "[1, 2]"), media_type)


async def test_text_goes_out_in_the_charset_of_its_type(http: Outbound, target: RawTarget) -> None:
    config = {"body": "Sauté {{ trigger.body.v }}", "headers": {"Content-Type": "text/plain; charset=iso-8859-1"}}
    assert (await sent(http, target, config, v="é"))[0] == "Sauté é".encode("latin-1")
    outcome = await run(http, target, config, v="€")
    assert isinstance(outcome, Failed)
    assert "'€' can't be written in iso8859-1" in outcome.message


@pytest.mark.parametrize(("value", "is_sent"), [(1, True), ("x", False), ('"x"', True), ([1], True), ('"', False)])
async def test_text_under_a_json_type_must_be_json_once_rendered(
    http: Outbound, target: RawTarget, value: Any, *, is_sent: bool
) -> None:
    config = {"body": '{"n": {{ trigger.body.v }}}', "headers": {"Content-Type": "application/json"}}
    outcome = await run(http, target, config, v=value)
    assert len(target.requests) == is_sent
    if not is_sent:
        assert isinstance(outcome, Failed)
        assert (outcome.code, "not JSON" in outcome.message) == ("bad_config", True)


FORM = "application/x-www-form-urlencoded"
FIELDS: dict[str, Any] = {"a": "{{ trigger.body.v }}", "b": ["x", 2], "c": None, "d": {"e": 1}}


@pytest.mark.parametrize(
    "config",
    [
        {"headers": {"Content-Type": FORM}, "body": FIELDS},
        {"headers": {"content-type": f"{FORM}; charset=utf-8"}, "body": msgspec.json.encode(FIELDS).decode()},
        {"headers": {"Content-Type": "{{ trigger.body.form }}"}, "body": FIELDS},
        {"body_type": "form", "body": FIELDS},
    ],
)
async def test_a_form_type_makes_an_object_a_form(http: Outbound, target: RawTarget, config: dict[str, Any]) -> None:
    body, kind = await sent(http, target, config, v="á &=+", form=FORM)
    assert body == b"a=%C3%A1+%26%3D%2B&b=x&b=2&d=%7B%22e%22%3A1%7D"
    assert kind.startswith("application/x-www-form-urlencoded")


async def test_a_form_that_is_written_as_text_is_sent_as_it_is(http: Outbound, target: RawTarget) -> None:
    config = {
        "body": "a={{ trigger.body.v | url_encode }}",
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
    }
    assert (await sent(http, target, config, v="a b"))[0] in (b"a=a+b", b"a=a%20b")


PNG = b"\x89PNG\r\n\x1a\n\0\xff"
KEPT = {"content": base64.b64encode(PNG).decode(), "content_type": "image/png", "size": len(PNG), "filename": 'a"b.png'}


@pytest.mark.parametrize("how", [{"body_type": "multipart"}, {"headers": {"Content-Type": "multipart/form-data"}}])
async def test_a_multipart_body_has_values_and_files(http: Outbound, target: RawTarget, how: dict[str, Any]) -> None:
    parts = [
        {"name": "title", "value": "{{ trigger.body.title }}"},
        {"name": "data", "value": {"a": 1}, "content_type": "application/json"},
        {"name": "file", "file": "{{ trigger.body.kept }}"},
        {"name": "note", "file": "some text", "filename": "note.txt"},
    ]
    body, kind = await sent(http, target, {**how, "body": parts}, title='--x\r\n"é"', kept=KEPT)
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    found: Any = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields = [
        (part.get_param("name", header="content-disposition"), part.get_content_type(), part.get_payload(decode=True))
        for part in found.iter_parts()
    ]
    assert fields == [
        ("title", "text/plain", '--x\r\n"é"'.encode()),
        ("data", "application/json", b'{"a":1}'),
        ("file", "image/png", PNG),
        ("note", "text/plain", b"some text"),
    ]
    assert b'filename="a%22b.png"' in body
    assert await sent(http, target, {**how, "body": parts}, title='--x\r\n"é"', kept=KEPT) == (body, kind)


@pytest.mark.parametrize("value", [KEPT, KEPT["content"]])
async def test_binary_is_sent_exactly_as_it_was_kept(http: Outbound, target: RawTarget, value: Any) -> None:
    body, kind = await sent(http, target, {"body_type": "binary", "body": "{{ trigger.body.v }}"}, v=value)
    assert body == PNG
    assert kind == ("image/png" if isinstance(value, dict) else "application/octet-stream")


@pytest.mark.parametrize(
    ("body_type", "body"),
    [("binary", "not base64!"), ("binary", [1]), ("form", [1]), ("multipart", "x"), ("multipart", [{"value": 1}])],
)
async def test_a_body_that_its_type_can_not_have_fails_and_says_why(
    http: Outbound, target: RawTarget, body_type: str, body: Any
) -> None:
    """When it is saved already; a template, or a definition of before, may still make one."""
    config = {"url": target.url, "body_type": body_type, "body": body}
    assert set(ACTION.problems(config)) == {"body"}
    outcome = await ACTION.run(config, ActionContext(http, "run.step", UUID(int=1), FixedClock()))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.message.startswith("body: ")) == ("bad_config", True)
    assert target.requests == []


async def test_body_type_overrides_what_the_body_looks_like(http: Outbound, target: RawTarget) -> None:
    assert (await sent(http, target, {"body_type": "text", "body": '{"a": {{ trigger.body.v }}}'}, v=1))[
        0
    ] == b'{"a": 1}'
    assert (await sent(http, target, {"body_type": "json", "body": "a{{ trigger.body.v }}"}, v=1))[0] == b'"a1"'


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("/a%2Fb%27c/it%3Aem%40x?X=AKIA%2F2026&e=a%40b&t=%7E", None),
        ("/a/../b/./c//d;v=1?x=1&x=2&y", None),
        ("/p?a[]=1&b=c+d&e=%20", None),
        ("/%e4%ff?%zz=%", "/%e4%ff?%25zz=%25"),
        ("/ä b?c=é\"<>\\^`{|}", "/%C3%A4%20b?c=%C3%A9%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("?a=1", "/?a=1"),
        ("", "/"),
        ("/p#frag", "/p"),
        ("/p?a=1#frag?b=2", "/p?a=1"),
    ],
)  # fmt: skip
async def test_a_url_is_sent_byte_for_byte(http: Outbound, target: RawTarget, path: str, arrives: str | None) -> None:
    await run(http, target, {"method": "GET", "url": target.url + path})
    assert target.last.target == (arrives or path)


@pytest.mark.parametrize(
    ("path", "query", "arrives"),
    [
        ("/p", {"tag": ["a", "b"]}, "/p?tag=a&tag=b"),
        ("/p", {"cursor": None, "a": [None, 1]}, "/p?a=1"),
        ("/p#frag", {"a": 1}, "/p?a=1"),
        ("/p?x=1#frag", {"a": 1.5, "b": True}, "/p?x=1&a=1.5&b=true"),
        ("/p?", {"a b": "c&d=é+/"}, "/p?a%20b=c%26d%3D%C3%A9%2B%2F"),
        ("/p?x=%2F&", {"a": {"k": 1}}, "/p?x=%2F&a=%7B%22k%22%3A1%7D"),
        ("/p", {"a": None}, "/p"),
        ("/p", {"a": []}, "/p"),
        ("/p", {"a": ""}, "/p?a="),
    ],
)
async def test_query_parameters_join_the_url(
    http: Outbound, target: RawTarget, path: str, query: dict[str, Any], arrives: str
) -> None:
    await run(http, target, {"method": "GET", "url": target.url + path, "query": query})
    assert target.last.target == arrives


@given(st.text(st.sampled_from("azAZ09-._~:/?@!$&'()*+,;=%2Fé |\x00\ud800"), max_size=40))
def test_escaping_a_url_twice_changes_nothing(path: str) -> None:
    _, _, once = exact(f"http://h/{path}")
    assert once.isascii()
    assert exact(f"http://h{once}")[2] == once
    assert "#" not in exact(with_query(f"http://h/{path}#f", [("a", "1")]))[2]


async def test_an_idempotency_key_of_the_steps_own_replaces_ours(http: Outbound, target: RawTarget) -> None:
    await run(http, target, {})
    assert target.last.values("idempotency-key") == ["run.step"]
    await run(http, target, {"headers": {"idempotency-key": "order {{ trigger.body.id }}"}}, id=7)
    assert target.last.values("idempotency-key") == ["order 7"]


async def test_headers_may_be_left_out_or_repeated(http: Outbound, target: RawTarget) -> None:
    await run(http, target, {"headers": {"X-A": ["1", 2], "X-B": None, "X-C": " {{ trigger.body.v }} "}}, v="é")
    assert target.last.values("x-a") == ["1", "2"]
    assert target.last.values("x-b") == []
    assert target.last.values("x-c") == ["é".encode().decode("latin-1")]


BAD_NAMES = [
    "Transfer-Encoding", "transfer-encoding ", "Content-Length", "Host", "TE", "Upgrade", "Expect", "Connection",
    "Keep-Alive", "Proxy-Connection", "Trailer", "X A", "X:A", "X\r\nA", "X\tA", "", "X\0", "Ünicode", " X", "X()",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_header_that_is_no_token_or_the_connections_is_refused_when_saved_and_when_rendered(
    http: Outbound, target: RawTarget, name: str
) -> None:
    config: dict[str, Any] = {"url": target.url, "headers": {name: "x"}}
    assert set(ACTION.problems(config)) == {f"headers.{name}"}
    outcome = await run(http, target, {"headers": "{{ trigger.body.headers }}"}, headers={name: "x"})
    assert isinstance(outcome, Failed)
    assert target.connections == 0


@pytest.mark.parametrize("value", ["a\r\nX-B: 1", "a\nb", "a\0b", "\x7f", "a\x1bb"])
async def test_a_header_value_can_not_end_its_line(http: Outbound, target: RawTarget, value: str) -> None:
    assert set(ACTION.problems({"url": target.url, "headers": {"X-A": value}})) == {"headers.X-A"}
    outcome = await run(http, target, {"headers": {"X-A": "{{ trigger.body.v }}"}}, v=value)
    assert isinstance(outcome, Failed)
    assert target.connections == 0


@pytest.mark.parametrize("headers", [{"Idempotency-Key": "a", "idempotency-key": "b"}, {"Idempotency-Key": ["a", "b"]}])
async def test_a_request_has_one_idempotency_key(http: Outbound, target: RawTarget, headers: dict[str, Any]) -> None:
    outcome = await run(http, target, {"headers": "{{ trigger.body.h }}"}, h=headers)
    assert isinstance(outcome, Failed)
    assert target.connections == 0


async def test_tenants_share_no_connection(http: Outbound, target: RawTarget) -> None:
    async def call(tenant: int) -> int:
        await http.request(HttpRequest(method="GET", url=target.url, timeout_s=5), UUID(int=tenant))
        return target.last.connection

    ada, bob = await call(1), await call(2)
    assert ada != bob
    assert [await call(1), await call(2), await call(1)] == [ada, bob, ada]


@pytest.mark.parametrize(
    ("config", "path", "says"),
    [
        ({"url": "ftp://x"}, "url", "only http:// and https:// can be called"),
        ({"url": "example.com/x"}, "url", "did you mean https://example.com/x?"),
        ({"url": "http://"}, "url", ""),
        ({"url": "http://a b/"}, "url", ""),
        ({"url": "example.com/{{ trigger.body.id }}"}, "url", "must begin with"),
        ({"method": "BREW"}, "method", "must be one of GET, POST"),
        ({"timeout_s": 301}, "timeout_s", "<= 300"),
        ({"timeout_s": 0}, "timeout_s", "> 0"),
        ({"max_bytes": 2**30}, "max_bytes", "<= 10485760"),
        ({"body_type": "yaml"}, "body_type", "must be one of json, form"),
        ({"body_type": "{{ trigger.body.kind }}"}, "body_type", "can't depend on data"),
        ({"response": "xml"}, "response", "must be one of auto"),
        ({"headers": []}, "headers", "expected object"),
        ({"query": "a=1"}, "query", "expected object"),
        ({"nonesuch": 1}, "nonesuch", "unknown field"),
    ],
)
def test_mistakes_are_told_when_saved(config: dict[str, Any], path: str, says: str) -> None:
    found = ACTION.problems({"url": "https://example.com", **config})
    assert set(found) == {path}
    assert says in found[path]


@pytest.mark.parametrize(
    "url", ["{{ trigger.body.url }}", "https://{{ trigger.body.host }}/x", "http{{ s }}://x", "HTTPS://Exämple.com/ä"]
)
def test_a_url_that_may_become_one_is_accepted(url: str) -> None:
    assert ACTION.problems({"url": url}) == {}


async def test_the_depth_of_a_chain_of_runs_goes_along_and_is_not_the_user_s_to_set(
    http: Outbound, target: RawTarget
) -> None:
    for hop, arrives in (("2.ab.cd", ["2.ab.cd"]), ("", [])):
        context = ActionContext(http, "run.step", UUID(int=1), FixedClock(), hop)
        config: dict[str, Any] = {"url": target.url, "headers": {"triggerhub-Depth": "1", "X-Own": "kept"}}
        assert isinstance(await ACTION.run(config, context), Succeeded)
        assert target.last.values("triggerhub-depth") == arrives
        assert target.last.values("x-own") == ["kept"]


async def test_who_calls_may_stand_in_the_url_or_in_a_header_but_not_in_both(http: Outbound, target: RawTarget) -> None:
    url = target.url.replace("://", "://ada:secret@")
    await http.request(HttpRequest(method="GET", url=url, timeout_s=5))
    assert target.last.values("Authorization") == ["Basic YWRhOnNlY3JldA=="]
    assert target.last.values("Host") == [target.url.removeprefix("http://")]

    with pytest.raises(Unreachable) as refused:
        await http.request(HttpRequest(method="GET", url=url, headers={"authorization": "Bearer x"}, timeout_s=5))
    assert refused.value.code == "bad_request"


@pytest.mark.parametrize("method", ["", "GET /x HTTP/1.1\r\nA: b", "GE T", "G\tT"])
async def test_a_method_is_a_word(http: Outbound, target: RawTarget, method: str) -> None:
    with pytest.raises(Unreachable) as refused:
        await http.request(HttpRequest(method=method, url=target.url, timeout_s=5))
    assert refused.value.code == "bad_request"
    assert not target.requests


@pytest.mark.parametrize(("method", "repeated"), [("GET", True), ("PUT", True), ("POST", False), ("PATCH", False)])
async def test_what_a_broken_connection_may_have_carried_is_sent_again_only_where_that_is_harmless(
    http: Outbound, target: RawTarget, method: str, repeated: bool
) -> None:
    target.answer, target.close = b"", True
    with pytest.raises(Unreachable) as broken:
        await http.request(HttpRequest(method=method, url=target.url, timeout_s=5))
    assert broken.value.code == "broken"
    assert len(target.requests) == 1 + repeated


async def test_an_answer_before_the_request_was_read_ends_the_connection(http: Outbound) -> None:
    answered, closed = asyncio.Event(), asyncio.Event()

    async def answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await answered.wait()
        with suppress(ConnectionError):
            while await reader.read(2**16):
                pass
        closed.set()
        writer.close()

    async with await asyncio.start_server(answer_at_once, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        reply = await http.request(HttpRequest(method="POST", url=url, body=bytes(20 * 2**20), timeout_s=10))
        assert reply.status == 413
        answered.set()
        async with asyncio.timeout(10):
            await closed.wait()


@pytest.mark.parametrize(
    ("body", "more", "is_told"),
    [
        ('{"a": "{{ x }}", }', {}, True),
        (" [{% for a in b %}{{ a }},{% endfor %}] ", {}, True),
        ('{"a": "{{ x }}"}', {}, False),
        ("{{ x }}", {}, False),
        ("{{ x }} and {{ y }}", {}, False),
        ("{% if x %}a{% endif %}", {}, False),
        ("[INFO] {{ x }}", {}, False),
        ("plain", {}, False),
        ({"a": 1}, {}, False),
        ("{a}", {"body_type": "text"}, False),
        ("{a}", {"headers": {"content-type": "application/toml"}}, False),
        ("{a}", {"headers": {"X-A": "b"}}, True),
    ],
)
def test_a_body_that_looks_like_json_and_is_none_is_told(body: Any, more: dict[str, Any], is_told: bool) -> None:
    told = CONNECTOR.actions[0].advice({"url": "https://example.com", "body": body, **more})
    assert list(told) == ["body"] * is_told
    assert not is_told or "sent as text/plain" in told["body"]
