"""The reference says what the code does, and leaves nothing out."""

import gzip
import hashlib
import re
import types
from uuid import uuid4

import msgspec
import pytest

from app.cli.commands import main
from app.config.settings import PREFIX, Settings
from app.http.docs import language_notes as notes
from app.http.docs.guides import FOLDER, ORDER, guides
from app.http.docs.markdown import to_html
from app.http.docs.reference import REFERENCES
from app.http.docs.setting_notes import SETTINGS
from app.http.problems import KINDS
from consumers.connectors import catalog
from domain.connector.descriptor import ActionContext
from domain.connector.http_client import HttpReply, HttpRequest, Unreachable
from domain.connector.outcome import Failed, Outcome, Postponed, Retry, Succeeded
from domain.language import condition
from domain.language.filters import FILTERS
from domain.language.operators import OPERATORS
from domain.registry import EVENT_TYPES
from sql.process.clock import now


def anchors(html: str) -> set[str]:
    return set(re.findall(r' id="([\w.-]+)"', html))


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("operators", set(OPERATORS)),
        ("problems", set(KINDS)),
        ("events", {kind.name for kind in EVENT_TYPES}),
        ("commands", set(main.commands)),
        ("actions", set(catalog().actions)),
    ],
)
def test_everything_has_a_heading_that_can_be_linked(page: str, names: set[str]) -> None:
    found = anchors(to_html(REFERENCES[page].write()))
    assert found - {page} >= names
    assert len(names) >= 14


def test_every_event_is_shown_with_its_version_meaning_and_fields() -> None:
    sections = dict(
        re.findall(r"^## (\S+)\n\n(.*?)(?=\n## |\Z)", REFERENCES["events"].write(), re.MULTILINE | re.DOTALL)
    )
    for kind in EVENT_TYPES:
        section = sections[kind.name]
        assert section.startswith(f"Version {kind.schema_version}. ")
        meaning = " ".join((kind.struct.__doc__ or "").split())
        assert meaning in section
        for field in msgspec.structs.fields(kind.struct):
            assert f"| `{field.encode_name}` |" in section


def test_every_problem_is_shown_with_its_status_and_what_to_do() -> None:
    page = REFERENCES["problems"].write()
    for kind in KINDS.values():
        assert f"## {kind.code}\n\n{kind.title}. HTTP status {kind.status}.\n\n{kind.remedy}" in page
        assert kind.remedy


def test_every_operator_has_a_note_whose_examples_hold() -> None:
    assert set(notes.OPERATORS) == set(OPERATORS), "write a note in app/http/docs/language_notes.py"
    for name, note in notes.OPERATORS.items():
        rule: dict[str, object] = {"field": "x.y", "operator": name}
        loaded = condition.load(rule | ({} if note.value is None else {"value": note.value}))  # type: ignore[arg-type]
        assert [x for x in note.holds_for if not condition.evaluate(loaded, {"x": {"y": x}})] == [], name
        assert [x for x in note.not_for if condition.evaluate(loaded, {"x": {"y": x}})] == [], name
        assert note.holds_for, name
        assert note.not_for, name


def test_every_filter_is_listed_with_what_it_does_and_an_example() -> None:
    page = REFERENCES["filters"].write()
    for name, filter_ in FILTERS.items():
        assert f"| `{name}` | {filter_.doc}" in page


def test_every_setting_is_listed_with_its_meaning() -> None:
    assert list(SETTINGS) == list(Settings.__struct_fields__), "write a note in app/http/docs/setting_notes.py"
    rows = re.findall(rf"^\| `{PREFIX}(\w+)` \| (.+?) \| (.+?) \|$", REFERENCES["settings"].write(), re.MULTILINE)
    assert [name.lower() for name, _default, _meaning in rows] == list(Settings.__struct_fields__)


def test_defaults_of_settings_that_are_values_are_the_real_ones() -> None:
    rows = re.findall(rf"^\| `({PREFIX}\w+)` \| `([\w.-]+)` \|", REFERENCES["settings"].write(), re.MULTILINE)
    assert len(rows) >= 8
    assert Settings.from_env(dict(rows)) == Settings.from_env({})


def test_every_command_is_listed_with_its_help() -> None:
    page = REFERENCES["commands"].write()
    for name, command in main.commands.items():
        assert f"## {name}\n\n{' '.join((command.help or '').split())}" in page


def test_every_file_of_the_guide_is_a_page_with_a_title_of_its_own() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(ORDER) == set(guides())
    titles = [guide.title for guide in guides().values()]
    assert len(set(titles)) == len(titles)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """All of the documentation, by path."""
    found = {f"/docs/guide/{page}": guide.html for page, guide in guides().items()}
    found |= {f"/docs/reference/{page}": to_html(reference.write()) for page, reference in REFERENCES.items()}
    return found | {"/docs/problems": found["/docs/reference/problems"]}


@pytest.mark.parametrize("name", [*ORDER, *REFERENCES])
def test_every_link_inside_the_documentation_leads_somewhere(name: str, pages: dict[str, str]) -> None:
    known = {*pages, "/docs", "/docs/guide", "/docs/reference", "/schema/openapi.json"}
    here = f"/docs/guide/{name}" if name in ORDER else f"/docs/reference/{name}"
    for link in re.findall(r'href="([^"]+)"', pages[here]):
        page, _, anchor = link.partition("#")
        if page.startswith(("http://", "https://")):
            continue
        assert (page or here) in known, link
        assert not anchor or anchor in anchors(pages[page or here]), link


def test_html_in_a_text_is_shown_and_not_used() -> None:
    assert "<script" not in to_html("# x\n\n<script>alert(1)</script>\n\n[a](javascript:alert(1))")
    assert 'href="javascript' not in to_html("[a](javascript:alert(1))")


def test_swagger_ui_is_the_file_that_was_published() -> None:
    folder = FOLDER.parent / "swagger_ui"
    sums = dict(re.findall(r"^    ([0-9a-f]{64})  (\S+)$", (folder / "README.md").read_text(), re.MULTILINE))
    found = {
        hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest(): path.name.removesuffix(".gz")
        for path in folder.glob("*.gz")
    }
    assert found == sums
    assert len(found) == 2


async def test_the_connector_of_the_guide_works() -> None:
    (source,) = re.findall(r"^```python\n(.*?)^```$", (FOLDER / "extending.md").read_text(), re.MULTILINE | re.DOTALL)
    module = types.ModuleType("slack")
    exec(source, vars(module))
    (action,) = module.CONNECTOR.actions
    config = {"url": "https://hooks.slack.example/T1", "text": "Hello"}
    assert action.problems(config) == {}
    assert set(action.problems({"url": "", "channel": "x"})) == {"url", "text", "channel"}
    cases: list[tuple[HttpReply | Unreachable, Outcome]] = [
        (HttpReply(status=200, headers={}, body=b"ok"), Succeeded({"ok": True})),
        (
            HttpReply(status=404, headers={}, body=b""),
            Failed(code="http_404", message="Slack did not take the message"),
        ),
        (
            HttpReply(status=429, headers={"retry-after": "30"}, body=b""),
            Retry(code="http_429", message="Slack asks to wait", after_s=30.0),
        ),
        (Unreachable("dns", "no such name"), Retry(code="dns", message="no such name")),
        (Unreachable("circuit_open", "later", after_s=5), Postponed(code="circuit_open", message="later", after_s=5)),
        (Unreachable("bad_url", "no URL", permanent=True), Failed(code="bad_url", message="no URL")),
    ]
    for answer, wanted in cases:
        http = _Answers(answer)
        assert await action.run(config, ActionContext(http, "key", uuid4(), now)) == wanted
        assert http.sent == [("POST", config["url"], b'{"text":"Hello"}', "key")]


class _Answers:
    """A client whose target answers, or cannot be reached."""

    def __init__(self, answer: HttpReply | Unreachable) -> None:
        self._answer = answer
        self.sent: list[tuple[str, str, object, str]] = []

    async def request(self, request: HttpRequest) -> HttpReply:
        self.sent.append((request.method, request.url, request.body, dict(request.headers)["Idempotency-Key"]))
        if isinstance(self._answer, Unreachable):
            raise self._answer
        return self._answer
