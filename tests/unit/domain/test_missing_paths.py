"""Paths that lead nowhere: false and nil in tags, an error where they are shown, with what is there instead."""

from typing import Any

import pytest

from domain.language.template import TemplateError, render

BODY: dict[str, Any] = {"there": 1, "text": "abc", "blank_text": "", "list": [1, 2], "none": None, "off": False}
CONTEXT: dict[str, Any] = {
    "trigger": {"body": BODY, "headers": {"content-type": "application/json", "x-shopify-topic": "orders"}},
    "steps": {
        "page": {"output": {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "é" * 100}},
        "gone": {"output": None, "error": {"code": "http_404"}},
    },
}


@pytest.mark.parametrize(
    "path",
    ["trigger.body.nope", "trigger.body.nope.deeper", "trigger.body.text.x", "trigger.body.list[5]", "steps.no.output"],
)
@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% if PATH %}y{% else %}n{% endif %}", "n"),
        ("{% unless PATH %}y{% endunless %}", "y"),
        ("{% if PATH == nil %}y{% endif %}", "y"),
        ("{% if nil == PATH %}y{% endif %}", "y"),
        ("{% if PATH == blank %}y{% endif %}", "y"),
        ("{% if PATH == empty %}y{% else %}n{% endif %}", "n"),
        ("{% if PATH != 1 %}y{% endif %}", "y"),
        ("{% if PATH == false %}y{% else %}n{% endif %}", "n"),
        ("{% if PATH contains 'a' %}y{% else %}n{% endif %}", "n"),
        ("{% if 'a' contains PATH %}y{% else %}n{% endif %}", "n"),
        ("{% if PATH > 1 or PATH <= 1 %}y{% else %}n{% endif %}", "n"),
        ("{% if PATH and true %}y{% else %}n{% endif %}", "n"),
        ("{% for x in PATH %}y{% else %}n{% endfor %}", "n"),
        ("{% for x in (1..PATH) %}y{% else %}n{% endfor %}", "n"),
        ("{% tablerow x in PATH %}y{% endtablerow %}", ""),
        ("{% case PATH %}{% when 1 %}1{% when nil %}nil{% else %}other{% endcase %}", "nil"),
        ("{% case PATH %}{% when 1 %}1{% else %}other{% endcase %}", "other"),
        ("{% assign x = PATH %}{% if x %}y{% else %}n{% endif %}", "n"),
        ("{% assign x = PATH | size %}{% if x > 0 %}y{% else %}n{% endif %}", "n"),
        ("{% assign x = PATH | where: 'a', 1 | first %}{{ x | default: 'd' }}", "d"),
        ("x{{ PATH | default: 'd' }}", "xd"),
        ("x{{ PATH | upcase | default: 'd' }}", "xd"),
        ("x{{ 'a' | append: PATH | default: 'd' }}", "xd"),
    ],
)
def test_a_missing_path_is_false_and_nil(path: str, template: str, text: str) -> None:
    assert render(template.replace("PATH", path), CONTEXT) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ PATH }}",
        "a {{ PATH }}",
        "{{ PATH | upcase }}",
        "{{ 'a' | append: PATH }}",
        "{% echo PATH %}",
        "{% cycle PATH %}",
        "{% assign x = PATH %}{{ x }}",
        "{% if true %}{{ PATH }}{% endif %}",
        "{% capture x %}{{ PATH }}{% endcapture %}",
    ],
)
def test_only_what_is_shown_must_be_there(template: str) -> None:
    with pytest.raises(TemplateError, match=r"trigger\.body\.nope is undefined"):
        render(template.replace("PATH", "trigger.body.nope"), CONTEXT)


@pytest.mark.parametrize("template", ["{{ PATH }}", "a{{ PATH }}", "{% if true %}{{ PATH }}{% endif %}"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "steps.page.output.body.id",
            "steps.page.output.body is text of 200 bytes (content type text/html)",
        ),
        (
            "trigger.body.nope",
            "trigger.body is an object with there, text, blank_text, list, none and 1 more (content type application",
        ),
        ("trigger.body.there.x", "trigger.body.there is a number"),
        ("trigger.body.list[2]", "trigger.body.list is a list of 2 items"),
        ("trigger.body.none.x", "trigger.body.none is null"),
        ("trigger.body.off.x", "trigger.body.off is false"),
        ("trigger.body.blank_text.x", "trigger.body.blank_text is empty text"),
        ("steps.gone.output.id", "steps.gone.output is null"),
        ('trigger.body["a b"].c', 'trigger.body["a b"] is undefined'),
        ("nope.x", "nope is undefined"),
    ],
)
def test_the_message_says_what_is_there_instead(template: str, path: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(template.replace("PATH", path), CONTEXT)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ('trigger.headers["X-Shopify-Topic"]', "orders"),
        ("trigger.headers.X-SHOPIFY-TOPIC", "orders"),
        ('steps.page.output.headers["content-type"]', "text/html"),
    ],
)
def test_names_of_headers_have_no_case(path: str, value: str) -> None:
    assert render(f"{{{{ {path} }}}}", CONTEXT) == value
    assert render(f"{{% if {path} == '{value}' %}}y{{% endif %}}", CONTEXT) == "y"


def test_elsewhere_case_matters() -> None:
    with pytest.raises(TemplateError):
        render("{{ trigger.body.There }}", CONTEXT)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ trigger.body.list | default: 1 }}", [1, 2]),
        ("{{ trigger.body.nope | default: trigger.body.list }}", [1, 2]),
        ("{{ trigger.body.blank_text | default: 5 }}", 5),
        ("{{ trigger.body.off | default: true }}", True),
        ("{{ trigger.body.off | default: true, allow_false: true }}", False),
        ("{{ trigger.body.none | default: nil }}", None),
        ("{{ trigger.body.there | default: 5 | upcase }}", "1"),
        (" {{- trigger.body.nope | default: 7 -}} ", 7),
    ],
)
def test_a_lone_path_with_a_default_keeps_the_type(template: str, value: object) -> None:
    made = render(template, CONTEXT)
    assert made == value
    assert type(made) is type(value)
