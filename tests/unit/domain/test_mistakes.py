"""Mistakes in a definition: all are told when it is saved, each with its place and what would be right."""

from typing import Any

import msgspec
import pytest

from consumers.connectors import catalog
from domain.log.errors import Invalid
from domain.zap.check import validate
from domain.zap.definition import Definition

CATALOG = catalog()


def definition(**parts: Any) -> Definition:
    raw = {"trigger": {"type": "webhook.catch", "config": {}}, "steps": []} | parts
    return msgspec.convert(raw, Definition)


def step(id_: str = "one", body: Any = None, **more: Any) -> dict[str, Any]:
    config = {"url": "https://example.com", "body": body}
    return {"kind": "action", "id": id_, "type": "http.request", "config": config, **more}


def told(saved: Definition) -> list[dict[str, Any]]:
    with pytest.raises(Invalid) as caught:
        validate(saved, CATALOG)
    errors: Any = caught.value.details["errors"]
    return list(errors)


@pytest.mark.parametrize(
    ("template", "code", "right"),
    [
        ("{{ trigger.body.x | upcas }}", "unknown_filter", "upcase"),
        ("{% assign x = trigger.body.x | nope %}", "unknown_filter", None),
        ("{% for i in trigger.body.x %}{{ i | dwncase }}{% endfor %}", "unknown_filter", "downcase"),
        ("{{ 'x' | replace }}", "filter_arguments", None),
        ("{{ 'x' | upcase: 1 }}", "filter_arguments", None),
        ("{{ 'x' | default: 1, allow_fals: true }}", "filter_arguments", None),
        ("{{ now | date: '%Q' }}", "filter_arguments", None),
        ("{{ trigger.body.x | round: 'two' }}", "filter_arguments", None),
        ("{{ trigger.body.x | divided_by: 0 }}", "filter_arguments", None),
        ("{{ trigger.body.x | concat: 'x' }}", "filter_arguments", None),
        ("{% fro x in y %}{% endfro %}", "unknown_tag", "for"),
        ("{% endif %}", "template_syntax", None),
        ("{% elsif trigger.body.x %}", "template_syntax", None),
        ("{{ trigger.body.x | default 'none' }}", "template_syntax", "default: 'none'"),
        ("{% if now %}a{% else if trigger.body.x %}b{% endif %}", "template_syntax", "{% elsif trigger.body.x %}"),
        ("{% if now %}a{% elseif trigger.body.x %}b{% endif %}", "unknown_tag", "elsif"),
        ("{% case now %}{% when 1 and 2 %}a{% endcase %}", "template_syntax", None),
        ("{% case now %}{% when 1, > 2 %}a{% endcase %}", "template_syntax", None),
        ("{% if now %}{% break %}{% endif %}", "template_syntax", None),
        ("{% continue %}", "template_syntax", None),
        ("{% if now && trigger.body.x %}a{% endif %}", "template_syntax", "and"),
        ("{% if trigger.body.x = 1 %}a{% endif %}", "template_syntax", "=="),
        ("{{ forloop.index }}", "unknown_path", None),
        ("{{ body.id }}", "unknown_path", "trigger.body.id"),
        ("{% if headers['x-id'] %}{% endif %}", "unknown_path", "trigger.headers.x-id"),
        ("{{ triger.body.id }}", "unknown_path", "trigger.body.id"),
        ("{{ trigger.bdy.id }}", "unknown_path", "trigger.body.id"),
        ("{{ trigger.order.id }}", "unknown_path", "trigger.body.order.id"),
        ("{{ zero.status }}", "unknown_path", "steps.zero.output.status"),
        ("{{ zero.output.status }}", "unknown_path", "steps.zero.output.status"),
        ("{{ steps.zreo.output }}", "unknown_path", "steps.zero.output"),
        ("{{ steps.zero.status }}", "unknown_path", "steps.zero.output.status"),
        ("{{ steps.nothing_like_it.output }}", "unknown_path", None),
        ("{{ steps.zero.output.id }}", "unknown_path", "steps.zero.output.body.id"),
        ("{{ steps.zero.output.satus }}", "unknown_path", "steps.zero.output.status"),
        ("{{ steps.after.output }}", "unknown_path", None),
        ("{{ steps.one.output }}", "unknown_path", None),
        ("{{ run.ids }}", "unknown_path", "run.id"),
        ("{{ something }}", "unknown_path", None),
        ("{% case steps.nope.output %}{% when 1 %}{% endcase %}", "unknown_path", None),
        ("{{ trigger.body[nope] }}", "unknown_path", None),
        ("{{ 'a' | append: nope }}", "unknown_path", None),
        ("{% if true %}", "template_syntax", None),
        ("{{ a", "template_syntax", None),
    ],
)
def test_a_mistake_in_a_template_is_told_with_what_would_be_right(template: str, code: str, right: str | None) -> None:
    (error, *others) = told(definition(steps=[step("zero"), step("one", {"a": ["x", template]}), step("after")]))
    assert (error["path"], error["pointer"]) == ("steps.1.config.body.a.1", "/steps/1/config/body/a/1")
    assert error["code"] == code
    assert error.get("did_you_mean") == right
    assert error["reason"]
    assert not others or template.startswith("{% fro")


@pytest.mark.parametrize(
    "template",
    [
        "{{ trigger.body.id }} {{ trigger.body['a b'].c }} {{ trigger.headers['X-Id'] }} {{ trigger.query.a }}",
        "{{ steps.zero.output.body.id }}{{ steps.zero.error.code }}{{ steps['zero'].output }}{{ steps.size }}",
        "{% for item in trigger.body %}{{ item.x }}{{ forloop.index }}{% endfor %}",
        "{% assign x = 1 %}{{ x }}{% capture y %}{{ x }}{% endcapture %}{{ y }}{% increment z %}{{ z }}",
        "{% tablerow i in (1..3) %}{{ i }}{{ tablerowloop.col }}{% endtablerow %}",
        "{{ run.id }}{{ zap.id }}{{ zap.version }}{{ now }}{{ 'today' | date: '%F' }}",
        "{{ trigger.body[trigger.query.key] }}",
        "{% raw %}{{ nope }}{% endraw %}{% comment %}{{ nope }}{% endcomment %}",
        "{{ trigger.body.x | date: trigger.body.form }}{{ 7 | divided_by: 2 }}{{ trigger.body.x | truncate: 5, '' }}",
        "{% liquid\nassign a = trigger.body.a\necho a | upcase\n%}",
    ],
)
def test_what_is_right_is_let_through(template: str) -> None:
    validate(definition(steps=[step("zero"), step("one", template)]), CATALOG)


def test_all_mistakes_are_told_at_once() -> None:
    config = {
        "reply": {"mode": "custom", "body": "{{ body.x | nope }}"},
        "split": False,
        "dedupe": {"from": "body", "path": "id"},
    }
    errors = told(
        definition(
            trigger={"type": "webhook.catch", "config": config},
            steps=[
                step("1st", "{{ body.x }}"),
                {"kind": "delay", "id": "wait", "until": "{{ x }}"},
                step("two", "{{ 'a' | nope }}{{ b }}"),
            ],
            settings={"concurrency": {"mode": "serial", "key": "{{ steps.two.output }}"}},
        )
    )
    assert {error["path"] for error in errors} == {
        "trigger.config.reply.body",
        "trigger.config.dedupe.path",
        "settings.concurrency.key",
        "steps.0.id",
        "steps.0.config.body",
        "steps.1.until",
        "steps.2.config.body",
    }
    assert sum(error["path"] == "steps.2.config.body" for error in errors) == 2


def test_an_error_path_sees_the_steps_before_it_and_nobody_else_sees_its_own() -> None:
    undo = step("undo", "{{ steps.one.error.code }} {{ steps.zero.output }}")
    validate(definition(steps=[step("zero"), step("one", on_error={"steps": [undo]})]), CATALOG)
    (error,) = told(
        definition(steps=[step("one", on_error={"steps": [step("undo")]}), step("two", "{{ steps.undo.output }}")])
    )
    assert "error path" in error["reason"]
    (error,) = told(
        definition(steps=[step("one", on_error={"steps": [step("undo", "{{ steps.two.output }}")]}), step("two")])
    )
    assert "comes after" in error["reason"]


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("lines", "trigger.body.lines"),
        ("body.lines[0]", "trigger.body.lines[0]"),
        ('a["b c"]', 'trigger.body.a["b c"]'),
        ("trigger.query.x", "trigger.body"),
        ("$.lines", "trigger.body.lines"),
        ("$", None),
    ],
)
def test_paths_into_the_body_have_one_spelling(path: str, right: str | None) -> None:
    for at, config in (("split", {"split": path}), ("dedupe.path", {"dedupe": {"from": "body", "path": path}})):
        (error,) = told(definition(trigger={"type": "webhook.catch", "config": config}))
        assert (error["path"], error.get("did_you_mean")) == (f"trigger.config.{at}", right)


@pytest.mark.parametrize(
    ("config", "path", "right"),
    [
        ({"verification": {"preset": "guthub"}}, "verification.preset", "github"),
        ({"splt": True}, "splt", "split"),
        ({"filter": {"field": "trigger.body.x", "operator": "exist"}}, "filter.operator", "exists"),
        ({"methods": ["get"]}, "methods[0]", None),
        (
            {"verification": {"preset": "hmac", "header": "x-sig", "template": "{tiemstamp}.{body}"}},
            "verification.template",
            None,
        ),
    ],
)
def test_a_wrong_name_in_the_hook_is_told_with_the_known_ones(
    config: dict[str, Any], path: str, right: str | None
) -> None:
    (error,) = told(definition(trigger={"type": "webhook.catch", "config": config}))
    assert (error["path"], error.get("did_you_mean")) == (f"trigger.config.{path}", right)
    assert any(word in error["reason"] for word in ("known: ", "one of ", "none of "))


def test_a_template_in_a_header_of_a_reply_is_told() -> None:
    reply = {"mode": "custom", "headers": {"X-Id": "{{ trigger.body.id }}"}}
    (error,) = told(definition(trigger={"type": "webhook.catch", "config": {"reply": reply}}))
    assert (error["path"], "only the body" in error["reason"]) == ("trigger.config.reply.headers.X-Id", True)


@pytest.mark.parametrize(
    ("wrong", "path", "right"),
    [
        ({"metod": "GET"}, "metod", "method"),
        ({"headers": {"TriggerHub-Depth": "1"}}, "headers.TriggerHub-Depth", None),
        ({"body_type": "multipart", "body": [{"nme": "a", "value": "{{ trigger.body.x }}"}]}, "body", None),
        ({"headers": {"Content-Type": "application/json"}, "body": "no json"}, "body", None),
        ({"headers": "{{ trigger.body.headers | json }}"}, "headers", None),
        ({"url": "https://https://example.com/x"}, "url", "https://example.com/x"),
    ],
)
def test_a_wrong_step_is_told_before_it_runs(wrong: dict[str, Any], path: str, right: str | None) -> None:
    made = step("one")
    made["config"] |= wrong
    (error,) = told(definition(steps=[made]))
    assert (error["path"], error.get("did_you_mean")) == (f"steps.0.config.{path}", right)


def test_an_unknown_action_is_told_with_the_one_that_was_meant() -> None:
    (error,) = told(definition(steps=[step("one") | {"type": "http.requst"}]))
    assert (error["path"], error["did_you_mean"]) == ("steps.0.type", "http.request")


@pytest.mark.parametrize("field", ["body.amount", "steps.one.output", "trigger.bodi.x", "run.id"])
def test_a_filter_sees_only_the_trigger(field: str) -> None:
    condition = {"all": [{"field": field, "operator": "exists"}]}
    (error,) = told(definition(trigger={"type": "webhook.catch", "config": {"filter": condition}}))
    assert error["path"] == "trigger.config.filter.all[0].field"
    assert error["pointer"] == "/trigger/config/filter/all/0/field"


@pytest.mark.parametrize(
    ("type_", "config", "path", "pointer"),
    [
        ("data.text", {"text": "x", "replace": [{"find": 5}]}, "replace[0].find", "/replace/0/find"),
        ("data.sort", {"items": [], "by": [5]}, "by[0]", "/by/0"),
        ("data.sort", {"items": "{{ trigger.body.x | compact }}", "by": [{"path": "x"}]}, "items", "/items"),
        ("data.aggregate", {"items": [], "values": {"x.y": {"make": "?"}}}, "values", "/values"),
        (
            "http.request",
            {"url": "https://example.com", "body": {"a[0]": "{{ nope }}"}},
            "body.a[0]",
            "/body/a[0]",
        ),
    ],
)
def test_a_pointer_leads_to_the_place_in_a_config(type_: str, config: dict[str, Any], path: str, pointer: str) -> None:
    (error,) = told(definition(steps=[{"id": "one", "kind": "action", "type": type_, "config": config}]))
    assert (error["path"], error["pointer"]) == (f"steps.0.config.{path}", f"/steps/0/config{pointer}")


def test_a_serial_key_is_a_path_and_no_program() -> None:
    loop = "{% for i in trigger.body %}{{ i }}{% endfor %}"
    (error,) = told(definition(settings={"concurrency": {"mode": "serial", "key": loop}}))
    assert error["code"] == "not_a_path"


@pytest.mark.parametrize(
    "body", [["{{ trigger.body.x }}"] * 2_001, ["{{ trigger.body.x }}" + "x" * 99_000] * 4], ids=["many", "long"]
)
def test_the_templates_of_one_definition_are_bounded(body: list[str]) -> None:
    (error,) = told(definition(steps=[step("one", body)]))
    assert error["code"] == "too_large"
