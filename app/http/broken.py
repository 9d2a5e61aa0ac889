"""All that is wrong with a JSON value: msgspec stops at the first broken rule, a person wants to see every one."""

import difflib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeAlias

import msgspec

from domain.values.json import Json, JsonObject
from domain.values.shapes import in_words, item_type, literals, options, structs_of, value_type

MAX_ERRORS = 50
_MAX_NAME = 64
"""Characters of an unknown name that are repeated, and compared with known ones: comparing is quadratic."""

Place: TypeAlias = tuple[str | int, ...]


class BrokenRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a request. `path` has dots between names, `pointer` is a JSON Pointer (RFC 6901).

    `allowed` lists what would be right, `did_you_mean` the one of these that is most like what was sent.
    """

    path: str
    reason: str
    pointer: str | None = None
    code: str | None = None
    allowed: tuple[str, ...] = ()
    did_you_mean: str | None = None


def broken_rule(
    place: Place, reason: str, code: str = "invalid_value", allowed: Sequence[str] = (), sent: str | None = None
) -> BrokenRule:
    """A rule that is broken at a place of the body, or by the parameter of that name."""
    path = ".".join(map(str, place))
    near = difflib.get_close_matches(sent[:_MAX_NAME], allowed, n=1) if sent and allowed else []
    return BrokenRule(path, reason, pointer(place), code, tuple(allowed), near[0] if near else None)


def pointer(place: Place) -> str:
    """The JSON Pointer of a place."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in place)


def broken_rules(value: Json, wanted: object, place: Place = ()) -> list[BrokenRule]:
    """Every rule of a type that the value breaks, up to MAX_ERRORS; none when msgspec would take it."""
    return list(islice(_broken(value, wanted, place), MAX_ERRORS))


def _broken(value: Json, wanted: object, place: Place) -> Iterator[BrokenRule]:
    reason = refusal(value, wanted)
    if reason is None:
        return
    inner = _inside(value, wanted, place)
    first = next(inner, None)
    if first is None:
        yield _leaf(value, wanted, place, reason)
    else:
        yield first
        yield from inner


def refusal(value: Json, wanted: object) -> str | None:
    """Why a value is not of a type, in msgspec's words without its place; None when it is."""
    try:
        msgspec.convert(value, wanted, dec_hook=decode_own)
    except (msgspec.ValidationError, RecursionError) as error:
        return in_words(error).partition(" - at `")[0]
    return None


def decode_own(wanted: type, value: Json) -> object:
    """What msgspec can not make by itself is made by the type's own `decode`."""
    return wanted.decode(value)  # type: ignore[attr-defined] # msgspec asks for no other types


def _leaf(value: Json, wanted: object, place: Place, reason: str) -> BrokenRule:
    allowed = literals(wanted)
    code = "wrong_type" if reason.startswith("Expected `") and "got `" in reason else "invalid_value"
    if allowed and isinstance(value, str):
        others = ", or an object" if structs_of(wanted) else ""
        return broken_rule(place, f"must be one of {', '.join(allowed)}{others}", "not_allowed", allowed, value)
    return broken_rule(place, reason, code, allowed)


def _inside(value: Json, wanted: object, place: Place) -> Iterator[BrokenRule]:
    """What is broken further in: nothing, when it is the value itself."""
    match value:
        case dict():
            yield from _in_object(value, wanted, place)
        case list():
            for option in options(wanted):
                if (item := item_type(option)) is not None:
                    for index, part in enumerate(value):
                        yield from _broken(part, item, (*place, index))
        case _:
            pass


def _in_object(value: JsonObject, wanted: object, place: Place) -> Iterator[BrokenRule]:
    structs = structs_of(wanted)
    if len(structs) == 1:
        yield from _in_struct(value, structs[0], place)
    elif structs:
        yield from _in_tagged(value, structs, place)
    else:
        for option in options(wanted):
            if (inner := value_type(option)) is not None:
                for key, part in value.items():
                    yield from _broken(part, inner, (*place, key))


def _in_tagged(value: JsonObject, structs: Sequence[type[msgspec.Struct]], place: Place) -> Iterator[BrokenRule]:
    by_tag = {str(struct.__struct_config__.tag): struct for struct in structs}
    field = structs[0].__struct_config__.tag_field or "type"
    tag = value.get(field)
    if field not in value:
        yield broken_rule((*place, field), f"Object missing required field `{field}`", "missing", sorted(by_tag))
    elif isinstance(tag, str) and tag in by_tag:
        yield from _in_struct(value, by_tag[tag], place)
    else:
        sent = tag if isinstance(tag, str) else None
        yield broken_rule((*place, field), f"must be one of {', '.join(sorted(by_tag))}", "not_allowed",
                          sorted(by_tag), sent)  # fmt: skip


def _in_struct(value: JsonObject, struct: type[msgspec.Struct], place: Place) -> Iterator[BrokenRule]:
    config = struct.__struct_config__
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    known = [*fields, *([config.tag_field] if config.tag_field else [])]
    for name, field in fields.items():
        if name in value:
            yield from _broken(value[name], field.type, (*place, name))
        elif field.required:
            yield broken_rule((*place, name), f"Object missing required field `{name}`", "missing")
    for names in getattr(struct, "ONE_OF", ()):
        if not any(name in value for name in names):
            words = f"Object missing required field `{names[0]}`, or `{names[1]}`"
            yield broken_rule((*place, names[0]), words, "missing")
    for name in value if config.forbid_unknown_fields else ():
        if name not in known:
            yield unknown_name((*place, name[:_MAX_NAME]), name, sorted(known), "Object contains unknown field")


def unknown_name(place: Place, name: str, known: Sequence[str], words: str) -> BrokenRule:
    """A field or parameter that there is not."""
    return broken_rule(place, f"{words} `{name[:_MAX_NAME]}`", "unknown", known, name)
