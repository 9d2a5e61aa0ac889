"""How a zap's hook takes requests: the configuration of the triggers webhook.catch and webhook.catch_raw.

It is part of the zap's definition and so of the event log: the secrets that senders sign with are kept elsewhere.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec

from domain.hook.presets import (
    Dedupe,
    DedupeBody,
    DedupeHeader,
    DedupeNone,
    HeaderName,
    Preset,
    Unverified,
)
from domain.hook.signed_request import is_printable
from domain.language import condition
from domain.language.mistakes import mistakes
from domain.language.names import BODY, REPLY, TRIGGER_ONLY, body_path
from domain.language.scope import written
from domain.language.template import has_template
from domain.log.event import DEDUPE_WINDOW_S
from domain.values.json import Json, JsonObject
from domain.values.path import MAX_PATH, look_up, parse_path
from domain.values.shapes import in_words, literals_at

MAX_REPLY_HEADERS = 20
MAX_REPLY_BODY = 20_000
"""Characters of a reply's template."""
DAY_S = 24 * 3600
MAX_WINDOW_DAYS = 365
Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
MAX_PER_MINUTE = 10_000_000
_REPLY_TYPES = ("application/json", "text/plain")
"""Types that browsers only show. HTML or XML would let a hook's owner run scripts in this host's name."""
_OURS = re.compile(
    r"access-control-.*|clear-site-data|connection|content-.*(?<!content-type)(?<!content-language)|date|keep-alive"
    r"|location|proxy-.*|refresh|server|service-worker-.*|set-cookie2?|strict-transport-security|te|trailer"
    r"|transfer-encoding|upgrade|x-content-type-options|x-frame-options",
    re.IGNORECASE,
)
"""Headers that frame the answer, or that tell browsers about this host."""
MAX_REPLY_HEADER = 500
_UNKNOWN = re.compile(r"unknown field `(.*?)`")
_UNKNOWN_PART = re.compile(r"\{(?!(?:body|timestamp|method|url)\})\w+\}")
"""Of the template of a signature."""
_AT = re.compile(r" - at `\$\.?(.*)`\Z")


class DedupeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"from_": "from"}):
    """What makes two requests one delivery, and for how long.

    `sender`: the id that senders of this kind give, else an Idempotency-Key. `path` leads into the parsed body.
    """

    from_: Literal["sender", "header", "body", "none"] = "sender"
    name: HeaderName | None = None
    path: str | None = None
    window_days: Annotated[int, msgspec.Meta(ge=1, le=MAX_WINDOW_DAYS)] = DEDUPE_WINDOW_S // DAY_S

    def __post_init__(self) -> None:
        if (self.name is not None) != (self.from_ == "header"):
            raise ValueError("from header needs the header's name, and nothing else does")
        if (self.path is not None) != (self.from_ == "body"):
            raise ValueError("from body needs a path into the body, and nothing else does")
        if self.path is not None:
            parse_path(self.path)

    def source(self) -> Dedupe | None:
        """As a verification rule; None means the preset decides."""
        match self.from_:
            case "sender":
                return None
            case "header":
                return DedupeHeader(self.name or "")
            case "body":
                return DedupeBody(self.path or "")
            case "none":
                return DedupeNone()


class ReplyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answer to an accepted request.

    `custom` has a template for the body, which sees `trigger` and `run`. `wait` answers the run's outcome, or after
    `timeout_s` 202 with the address of the run.
    """

    mode: Literal["immediate", "custom", "wait"] = "immediate"
    status: Annotated[int, msgspec.Meta(ge=200, le=299)] = 200
    headers: Mapping[HeaderName, str] = {}
    body: Annotated[str, msgspec.Meta(max_length=MAX_REPLY_BODY)] = ""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=30)] = 10

    def __post_init__(self) -> None:
        if self.mode != "custom" and (self.status != 200 or self.headers or self.body):
            raise ValueError("status, headers and body need mode custom")
        if len(self.headers) > MAX_REPLY_HEADERS:
            raise ValueError(f"at most {MAX_REPLY_HEADERS} headers")
        for name, value in self.headers.items():
            _check_header(name, value)


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests per minute, by all API processes together; a minute's worth may come at once."""

    per_minute: Annotated[int, msgspec.Meta(ge=1, le=MAX_PER_MINUTE)]


class HookConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything about the hook but its `filter`, which is a condition.

    `split` makes a run of each item of the body, or of the list at a path in it. `methods`: only these
    start runs. Without it, all but GET and HEAD do, because browsers, link previews and crawlers send those unasked.
    `probes`: requests with these are answered 200, and start nothing: some senders try an address so.
    """

    verification: Preset = Unverified()
    dedupe: DedupeConfig = DedupeConfig()
    reply: ReplyConfig = ReplyConfig()
    split: bool | str = False
    limit: Limit | None = None
    methods: Annotated[frozenset[Method], msgspec.Meta(min_length=1)] | None = None
    probes: frozenset[Literal["GET", "HEAD"]] = frozenset()

    def __post_init__(self) -> None:
        if self.probes & (self.methods or frozenset()):
            raise ValueError("a method of `probes` starts no runs, so it is none of `methods`")
        if isinstance(self.split, str):
            parse_path(self.split)
        if self.split and self.reply.mode != "immediate":
            raise ValueError("split makes many runs of one request: only an immediate reply goes with it")

    def preset(self) -> Preset:
        """The verification, with the hook's own rule for delivery ids where it has one."""
        source = self.dedupe.source()
        return msgspec.structs.replace(self.verification, dedupe=source) if source else self.verification


class BadHookConfig(ValueError):
    """`problems` has a reason for each broken path."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {reason}" for path, reason in problems.items()))
        self.problems = problems


_OTHERS = frozenset({"filter", "register"})
"""Settings of a hook that say nothing of how it takes requests."""


def load(config: JsonObject) -> HookConfig:
    """A trigger's configuration. Raises BadHookConfig."""
    try:
        return msgspec.convert({key: value for key, value in config.items() if key not in _OTHERS}, HookConfig)
    except (msgspec.ValidationError, RecursionError) as error:
        message = in_words(error)
        parts = [found[1] for found in (_AT.search(message), _UNKNOWN.search(message)) if found]
        path = ".".join(parts)
        raise BadHookConfig({path: _AT.sub("", message) + _known(path, config)}) from None


def _known(path: str, config: JsonObject) -> str:
    """What may stand at a place of which only names are wrong, and which of them is most like what stands there."""
    sent, known = "", tuple[str, ...]()
    match path, config:
        case "verification.preset", {"verification": {"preset": str(sent)}}:
            known = _PRESETS
        case _ if path.startswith("methods["):
            known = get_args(Method)
        case _ if path in config and path not in HookConfig.__struct_fields__:
            sent, known = path, (*HookConfig.__struct_fields__, *sorted(_OTHERS))
        case _ if choices := literals_at(HookConfig, path.split("."), config):
            sent, known = str(look_up(config, tuple(path.split(".")))), tuple(choices)
    near = get_close_matches(sent[:100], known, 1)
    return (f"; known: {', '.join(known)}" if known else "") + (f"; did you mean {near[0]}?" if near else "")


_PRESETS = tuple(str(preset.__struct_config__.tag) for preset in get_args(Preset))


def problems(config: JsonObject) -> dict[str, str]:
    """The mistakes in a configuration, by path; empty when there are none."""
    found = _bad_paths(config)
    try:
        found |= {} if found else _meaning_problems(load(config))
    except BadHookConfig as error:
        found |= error.problems
    if config.get("filter") is not None:
        for path, reason in condition.check(config["filter"], TRIGGER_ONLY.wrong).items():
            found["filter" + (f".{path}" if path else "")] = reason
    return found


def _bad_paths(config: JsonObject) -> dict[str, str]:
    """What is no path at all, such as JSONPath."""
    dedupe = config.get("dedupe")
    found: dict[str, str] = {}
    for at, path in {
        "split": config.get("split"),
        "dedupe.path": isinstance(dedupe, dict) and dedupe.get("path"),
    }.items():
        if isinstance(path, str):
            try:
                parse_path(path)
            except ValueError:
                meant = re.sub(r"^\$\.?|\[\*\](?s:.*)", "", path[:MAX_PATH])
                found[at] = f"{path[:50]!r} is not a path like trigger.body.items" + _meant(meant)
    return found


def _meant(path: str) -> str:
    """A guess that is a path, in words."""
    try:
        keys = parse_path(path)
    except ValueError:
        return ""
    return f"; did you mean {written(keys if keys[:2] == BODY else (*BODY, *keys))}?"


def filter_of(config: JsonObject) -> condition.Condition | None:
    """The trigger's condition, None for one that lets everything through. Raises InvalidCondition."""
    raw: Json = config.get("filter")
    return None if raw is None else condition.load(raw)


def _meaning_problems(config: HookConfig) -> dict[str, str]:
    """Mistakes in names and paths, by path in the configuration."""
    found = {
        ".".join(mistake.at): mistake.reason for mistake in mistakes(config.reply.body, ("reply", "body"), REPLY.wrong)
    }
    for name, value in config.reply.headers.items():
        if has_template(value):
            found[f"reply.headers.{name}"] = "a header stands as it is written: only the body of a reply is a template"
    wrong = _UNKNOWN_PART.search(getattr(config.verification, "template", ""))
    if wrong:
        found["verification.template"] = f"{wrong[0]} is none of {{body}}, {{timestamp}}, {{method}} and {{url}}"
    own = getattr(config.verification, "dedupe", None)
    nested = own.path if isinstance(own, DedupeBody) else None
    places = {"split": config.split, "dedupe.path": config.dedupe.path, "verification.dedupe.path": nested}
    for at, path in places.items():
        reason = body_path(parse_path(path)) if isinstance(path, str) else None
        if reason:
            found[at] = reason
    return found


def _check_header(name: str, value: str) -> None:
    if _OURS.fullmatch(name):
        raise ValueError(f"the header {name} cannot be set here")
    if value and not (len(value) <= MAX_REPLY_HEADER and is_printable(value)):
        raise ValueError(f"the header {name} has up to {MAX_REPLY_HEADER} printable ASCII characters")
    if name.lower() == "content-type" and value.partition(";")[0].strip().lower() not in _REPLY_TYPES:
        raise ValueError(f"content-type is one of {', '.join(_REPLY_TYPES)}")
