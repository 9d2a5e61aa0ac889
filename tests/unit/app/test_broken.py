"""Every broken rule of a JSON value is found, and named so that a program can act on it."""

import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.api.connectors import ConnectorName
from app.http.api.run_bodies import Code
from app.http.broken import MAX_ERRORS, broken_rules, pointer, refusal
from app.http.inputs import Name, StepId
from domain.connection.variables import VariableName
from domain.flow.steps import Step
from domain.hook import config as hooks
from domain.language.mistakes import place_of
from domain.values.email import Email
from domain.values.shapes import HOST
from domain.zap.settings import Tag
from tests.support.strategies import json_values


class Circle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="circle"):
    radius: Annotated[float, msgspec.Meta(gt=0)]


class Square(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="square"):
    side: float = 1.0


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    public: bool = False
    mode: Literal["light", "dark"] | None = None
    shapes: tuple[Circle | Square, ...] = ()
    sizes: dict[str, int] = {}
    border: "Picture | Literal['none']" = "none"

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise ValueError("a name that is forbidden")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({}, [("name", "missing")]),
        ([], [("", "wrong_type")]),
        ({"name": "x", "public": 0}, [("public", "wrong_type")]),
        ({"name": 1, "public": "no"}, [("name", "wrong_type"), ("public", "wrong_type")]),
        ({"name": "x", "mode": "drak"}, [("mode", "not_allowed")]),
        ({"name": "x", "shapes": [{"kind": "circle"}, {"kind": "squar"}, {}, {"kind": "circle", "radius": 0}]},
         [("shapes.0.radius", "missing"), ("shapes.1.kind", "not_allowed"), ("shapes.2.kind", "missing"),
          ("shapes.3.radius", "invalid_value")]),
        ({"nmae": "x", "sizes": {"a/b": "1", "~": 2.5}},
         [("name", "missing"), ("sizes.a/b", "wrong_type"), ("sizes.~", "wrong_type"), ("nmae", "unknown")]),
        ({"name": "x", "border": {"name": 1}}, [("border.name", "wrong_type")]),
        ({"name": "forbidden"}, [("", "invalid_value")]),
    ],
    ids=str,
)  # fmt: skip
def test_all_mistakes_are_listed_with_their_place(value: Any, found: list[tuple[str, str]]) -> None:
    assert [(rule.path, rule.code) for rule in broken_rules(value, Picture)] == found


def test_a_typo_is_answered_with_what_was_meant() -> None:
    by_path = {rule.path: rule for rule in broken_rules({"nmae": "x", "mode": "drak"}, Picture)}
    assert (by_path["nmae"].did_you_mean, by_path["mode"].did_you_mean) == ("name", "dark")
    assert by_path["mode"].allowed == ("light", "dark")
    assert by_path["nmae"].pointer == "/nmae"


def test_pointers_are_escaped() -> None:
    assert pointer(("a/b", "~", 0)) == "/a~1b/~0/0"
    assert place_of("trigger.config.filter.all[0].value") == ("trigger", "config", "filter", "all", "0", "value")


@given(json_values)
def test_there_are_broken_rules_exactly_where_msgspec_refuses(value: Any) -> None:
    assert bool(broken_rules(value, Picture)) is (refusal(value, Picture) is not None)


@given(st.dictionaries(st.sampled_from(["name", "public", "mode", "shapes", "sizes", "border", "more"]), json_values))
def test_every_pointer_leads_into_the_value_or_to_what_is_missing(value: dict[str, Any]) -> None:
    for rule in broken_rules(value, Picture):
        assert rule.pointer is not None
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in rule.pointer.split("/")[1:]] or [""]
        inner: Any = value
        for part in parents:
            inner = inner[int(part)] if isinstance(inner, list) else inner[part]
        found = isinstance(inner, list) or any(str(name)[:64] == last for name in inner)
        assert rule.code == "missing" or not rule.pointer or found


def test_a_hostile_value_costs_no_more_than_its_size() -> None:
    unknown = {f"{'x' * 1_000}{index}": 1 for index in range(1_000)}
    rules = broken_rules({"name": "x"} | unknown | {"shapes": [{}] * 100_000}, Picture)
    assert len(rules) == MAX_ERRORS
    assert len(json.dumps(msgspec.to_builtins(rules))) < 30_000


@pytest.mark.parametrize("pattern", [r"^a\.b\Z", r"^[\x00-\x1f']+\Z", "^\"'\\Z"])
def test_a_pattern_is_shown_as_clients_may_use_it(pattern: str) -> None:
    (broken,) = broken_rules("x", Annotated[str, msgspec.Meta(pattern=pattern)])
    assert broken.reason == f"Expected `str` that matches {pattern.removesuffix(chr(92) + 'Z')}$"


@pytest.mark.parametrize(
    ("wrong", "wanted", "called"),
    [
        ("ada at example.com", Email, "an e-mail address"),
        ("not a host!", Annotated[str, msgspec.Meta(pattern=HOST)], "a host such as api.example.com or *.example.com"),
    ],
)
def test_what_has_a_name_is_told_by_it_and_not_by_its_pattern(wrong: str, wanted: object, called: str) -> None:
    (broken,) = broken_rules(wrong, wanted)
    assert broken.reason == f"Expected `str` that is {called}"


@pytest.mark.parametrize(
    ("wanted", "value", "words"),
    [
        (Name, " x", "begins with no blank, and is without line breaks and other control characters"),
        (Name, "a\nb", "without line breaks"),
        (StepId, "a\0", "without line breaks"),
        (Tag, "x ", "neither begins nor ends with a blank"),
        (Code, "a\t", "without line breaks"),
        (VariableName, "1a", "of letters, digits and _ that does not begin with a digit"),
        (ConnectorName, "A", "of small letters, digits and _ that begins with a letter, with at most 50 characters"),
    ],
)
def test_the_mistake_in_a_name_is_told_in_words(wanted: object, value: str, words: str) -> None:
    (broken,) = broken_rules(value, wanted)
    assert words in broken.reason
    assert "^" not in broken.reason


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (
            {"kind": "action", "id": "a", "type": "x", "on_error": "ignore"},
            "must be one of fail, continue, or an object",
        ),
        ({"kind": "stop", "id": "a", "as": "done"}, "must be one of completed, failed, cancelled"),
    ],
)
def test_a_choice_that_there_is_not_is_told_with_those_there_are(step: Any, reason: str) -> None:
    (broken,) = broken_rules(step, Step)
    assert (broken.reason, broken.code) == (reason, "not_allowed")


@pytest.mark.parametrize(
    ("config", "path", "known"),
    [
        ({"dedupe": {"from": "headers"}}, "dedupe.from", "; known: sender, header, body, none; did you mean header?"),
        ({"reply": {"mode": "x"}}, "reply.mode", "; known: immediate, custom, wait"),
        ({"verification": {"preset": "gitlab", "mode": "x"}}, "verification.mode", "; known: token, signing"),
        ({"limit": {"per_minute": 0}}, "limit.per_minute", "`int` >= 1"),
    ],
)
def test_a_choice_of_a_hook_that_there_is_not_is_told_with_those_there_are(config: Any, path: str, known: str) -> None:
    assert hooks.problems(config)[path].endswith(known)
