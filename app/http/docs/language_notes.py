"""What the words of conditions and templates mean, with an example of each; the pages show what the examples give."""

import msgspec

from domain.values.json import Json


class OperatorNote(msgspec.Struct, frozen=True):
    """`value` is that of a rule; the rule holds for each of `holds_for` and for none of `not_for`."""

    meaning: str
    value: Json
    holds_for: tuple[Json, ...]
    not_for: tuple[Json, ...]


class FilterNote(msgspec.Struct, frozen=True):
    """`template` sees DATA."""

    meaning: str
    template: str


OPERATORS: dict[str, OperatorNote] = {
    "equals": OperatorNote(
        'The field equals the value. `1` equals `1.0`; `1` is not `"1"`.', "paid", ("paid",), ("Paid", None)
    ),
    "not_equals": OperatorNote("The field differs from the value, or is missing.", "paid", ("open", None), ("paid",)),
    "contains": OperatorNote(
        "A text contains the value; a list has it as an item; an object has it as a key.",
        "vip",
        ("a vip order", ["vip", "new"], {"vip": 1}),
        ("VIP", ["vips"], None),
    ),
    "not_contains": OperatorNote("The opposite of `contains`.", "vip", ("plain", [], None), ("vip", ["vip"])),
    "starts_with": OperatorNote("A text starts with the value.", "refs/heads/", ("refs/heads/main",), ("main", None)),
    "ends_with": OperatorNote(
        "A text ends with the value.", "@example.com", ("ada@example.com",), ("ada@example.org",)
    ),
    "greater_than": OperatorNote(
        "A number, or a text that is one, is above the value.", 100, (100.5, "250"), (100, "many", None)
    ),
    "less_than": OperatorNote(
        "A number, or a text that is one, is below the value.", 100, (99, "0.5"), (100, True, None)
    ),
    "between": OperatorNote(
        "A number lies between the two values, or equals one of them.", [1, 10], (1, 10, "5"), (0, 11, None)
    ),
    "in": OperatorNote("The field equals one of the values in the list.", ["paid", "open"], ("paid",), ("void", None)),
    "exists": OperatorNote("The field is there and is not `null`.", None, ("", 0, False), (None,)),
    "not_exists": OperatorNote("The field is missing or `null`.", None, (None,), ("", 0)),
    "is_true": OperatorNote(
        "The field is `true`, or the text `true` in any case.", None, (True, "TRUE"), (1, "yes", None)
    ),
    "is_false": OperatorNote(
        "The field is `false`, or the text `false` in any case.", None, (False, "false"), (0, "", None)
    ),
    "is_empty": OperatorNote(
        "The field is missing, `null`, or an empty text, list or object.", None, ("", [], None), (0, " ", False)
    ),
    "matches": OperatorNote(
        "A text contains a match of the regular expression ([RE2](https://github.com/google/re2/wiki/Syntax)). "
        "Use `^` and `$` for the whole text.",
        "^v[0-9]+$",
        ("v12",),
        ("v1.2", 12, None),
    ),
    "before": OperatorNote(
        "A date, a date and time, or unix seconds are earlier than the value. Without a zone they are in UTC.",
        "2026-02-01",
        ("2026-01-31T23:59:59Z", 0),
        ("2026-02-01", "soon", None),
    ),
    "after": OperatorNote(
        "A date, a date and time, or unix seconds are later than the value.",
        "2026-02-01",
        ("2026-02-01T00:00:01Z",),
        ("2026-02-01", None),
    ),
}

DATA: dict[str, Json] = {
    "trigger": {
        "body": {
            "name": "  Ada Lovelace ",
            "note": "first <b>note</b>\nsecond note",
            "price": 12.5,
            "at": "2026-01-31T12:00:00Z",
            "sizes": [38, None, 40],
            "tags": ["new", "vip", "new"],
            "items": [{"sku": "b", "qty": 2, "gift": True}, {"sku": "A", "qty": 1, "gift": False}],
        }
    }
}
"""What the examples of filters see."""

FILTERS: dict[str, FilterNote] = {
    "abs": FilterNote("The number without its sign.", "{{ -4 | abs }}"),
    "append": FilterNote("The text with another one behind it.", '{{ "order" | append: "-17" }}'),
    "at_least": FilterNote("The number, or the limit where that is larger.", "{{ 4 | at_least: 10 }}"),
    "at_most": FilterNote("The number, or the limit where that is smaller.", "{{ 40 | at_most: 10 }}"),
    "base64_decode": FilterNote("The text that was encoded in base64.", '{{ "QWRh" | base64_decode }}'),
    "base64_encode": FilterNote("The text in base64.", '{{ "Ada" | base64_encode }}'),
    "base64_url_safe_decode": FilterNote(
        "The text that was encoded in URL-safe base64.", '{{ "fn4_" | base64_url_safe_decode }}'
    ),
    "base64_url_safe_encode": FilterNote(
        "The text in the base64 alphabet that is safe in URLs.", '{{ "~~?" | base64_url_safe_encode }}'
    ),
    "capitalize": FilterNote("The first letter as a capital, all others small.", '{{ "ada LOVELACE" | capitalize }}'),
    "ceil": FilterNote("The number rounded up.", "{{ 1.2 | ceil }}"),
    "compact": FilterNote("The list without missing items.", "{{ trigger.body.sizes | compact }}"),
    "concat": FilterNote("Two lists as one.", "{{ trigger.body.tags | concat: trigger.body.tags | size }}"),
    "date": FilterNote(
        "A date and time in another format, written as in strftime.", '{{ trigger.body.at | date: "%d.%m.%Y %H:%M" }}'
    ),
    "default": FilterNote(
        "The value, or another one where it is missing, `null`, `false` or empty.",
        '{{ trigger.body.nick | default: "friend" }}',
    ),
    "divided_by": FilterNote("The quotient; of two whole numbers rounded down.", "{{ 7 | divided_by: 2 }}"),
    "downcase": FilterNote("Small letters.", '{{ "Ada" | downcase }}'),
    "escape": FilterNote("Safe inside HTML.", '{{ "<b>" | escape }}'),
    "escape_once": FilterNote("Safe inside HTML, without escaping twice.", '{{ "&lt;b>" | escape_once }}'),
    "escapejs": FilterNote("Safe inside a JavaScript string.", """{{ "it's" | escapejs }}"""),
    "find": FilterNote("The first item whose field has the value.", '{{ trigger.body.items | find: "sku", "A" }}'),
    "find_index": FilterNote(
        "The place of the first item whose field has the value, counted from 0.",
        '{{ trigger.body.items | find_index: "sku", "A" }}',
    ),
    "first": FilterNote("The first item.", "{{ trigger.body.tags | first }}"),
    "floor": FilterNote("The number rounded down.", "{{ 1.8 | floor }}"),
    "has": FilterNote("Whether an item's field has the value.", '{{ trigger.body.items | has: "sku", "A" }}'),
    "join": FilterNote("The items as one text, with a separator.", '{{ trigger.body.tags | join: ", " }}'),
    "last": FilterNote("The last item.", "{{ trigger.body.tags | last }}"),
    "lstrip": FilterNote("The text without space before it.", '{{ "  a" | lstrip }}'),
    "map": FilterNote("One field of each item.", '{{ trigger.body.items | map: "sku" }}'),
    "minus": FilterNote("The difference.", "{{ trigger.body.price | minus: 2 }}"),
    "modulo": FilterNote("The remainder of a division.", "{{ 7 | modulo: 3 }}"),
    "newline_to_br": FilterNote(
        "`<br />` before each line break.", "{{ trigger.body.note | strip_html | newline_to_br }}"
    ),
    "plus": FilterNote("The sum.", "{{ trigger.body.price | plus: 2 }}"),
    "prepend": FilterNote("The text with another one before it.", '{{ "17" | prepend: "order-" }}'),
    "reject": FilterNote(
        "The items whose field does not have the value.", '{{ trigger.body.items | reject: "gift", true }}'
    ),
    "remove": FilterNote("The text without another one, wherever it stands.", '{{ "a-b-c" | remove: "-" }}'),
    "remove_first": FilterNote("The same, only the first time.", '{{ "a-b-c" | remove_first: "-" }}'),
    "remove_last": FilterNote("The same, only the last time.", '{{ "a-b-c" | remove_last: "-" }}'),
    "replace": FilterNote("One text replaced by another, wherever it stands.", '{{ "a-b-c" | replace: "-", "+" }}'),
    "replace_first": FilterNote("The same, only the first time.", '{{ "a-b-c" | replace_first: "-", "+" }}'),
    "replace_last": FilterNote("The same, only the last time.", '{{ "a-b-c" | replace_last: "-", "+" }}'),
    "reverse": FilterNote("The list from its end.", "{{ trigger.body.tags | reverse }}"),
    "round": FilterNote("The number rounded, to so many digits after the point.", "{{ 2.675 | round: 2 }}"),
    "rstrip": FilterNote("The text without space behind it.", '{{ "a  " | rstrip }}'),
    "safe": FilterNote(
        "The text as it is. Nothing is escaped anyway; the filter exists for templates from elsewhere.",
        '{{ "<b>" | safe }}',
    ),
    "size": FilterNote("The number of characters or items.", "{{ trigger.body.tags | size }}"),
    "slice": FilterNote(
        "So many characters or items from a place on, counted from 0.", '{{ "Lovelace" | slice: 0, 4 }}'
    ),
    "sort": FilterNote(
        "The list in order, capitals first; of objects by a field.",
        '{{ trigger.body.items | sort: "sku" | map: "sku" }}',
    ),
    "sort_natural": FilterNote(
        "The list in order, whatever the case of its letters.",
        '{{ trigger.body.items | sort_natural: "sku" | map: "sku" }}',
    ),
    "split": FilterNote("The text as a list, cut at a separator.", '{{ "a,b" | split: "," }}'),
    "squish": FilterNote(
        "The text without outer space, and one blank for each inner one.", '{{ "  a   b " | squish }}'
    ),
    "strip": FilterNote("The text without outer space.", "{{ trigger.body.name | strip }}"),
    "strip_html": FilterNote("The text without HTML tags.", '{{ "<b>bold</b>" | strip_html }}'),
    "strip_newlines": FilterNote(
        "The text without line breaks.", "{{ trigger.body.note | strip_html | strip_newlines }}"
    ),
    "sum": FilterNote("The sum of the items, or of a field of each.", '{{ trigger.body.items | sum: "qty" }}'),
    "times": FilterNote("The product.", "{{ trigger.body.price | times: 2 }}"),
    "truncate": FilterNote("At most so many characters, the ellipsis included.", '{{ "Ada Lovelace" | truncate: 8 }}'),
    "truncatewords": FilterNote("At most so many words.", '{{ "one two three" | truncatewords: 2 }}'),
    "uniq": FilterNote("The list without repeats.", "{{ trigger.body.tags | uniq }}"),
    "upcase": FilterNote("Capital letters.", '{{ "Ada" | upcase }}'),
    "url_decode": FilterNote("The text that was encoded for a URL.", '{{ "a%20b" | url_decode }}'),
    "url_encode": FilterNote("The text, safe in a query.", '{{ "a b&c" | url_encode }}'),
    "where": FilterNote("The items whose field has the value.", '{{ trigger.body.items | where: "gift", true }}'),
}
