"""What the words of conditions mean, with an example of each; the pages show what the examples give."""

import msgspec

from domain.values.json import Json


class OperatorNote(msgspec.Struct, frozen=True):
    """`value` is that of a rule; the rule holds for each of `holds_for` and for none of `not_for`."""

    meaning: str
    value: Json
    holds_for: tuple[Json, ...]
    not_for: tuple[Json, ...]


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
