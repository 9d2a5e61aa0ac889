"""A zap's hook, ready to take requests: its compiled configuration, and the secrets of its senders."""

import msgspec

from domain.hook import config as hook
from domain.hook.config import DAY_S, HookConfig, Method, ReplyConfig
from domain.hook.credentials import NO_PROOF, Proof, proof_of
from domain.hook.presets import Preset, Unknown, Unverified
from domain.language import condition
from domain.language.names import in_body
from domain.language.template import Compiled, TemplateError, compiled
from domain.log.event import DEDUPE_WINDOW_S
from domain.values.json import Json, JsonObject
from domain.values.path import Path, parse_path

RAW = "webhook.catch_raw"
HOOKS = frozenset({"webhook.catch", RAW})
"""The triggers that take requests of strangers."""


class Hook(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What the intake does with a request.

    `plain`: nothing is configured, so the request need not be looked into. `raw`: its body is not parsed.
    `not_understood`: why this release does not understand the configuration, empty where it does.
    """

    plain: bool = True
    raw: bool = False
    preset: Preset | Unknown = Unverified()
    proof: Proof = NO_PROOF
    secrets: tuple[str, ...] = ()
    dedupe_window_s: int = DEDUPE_WINDOW_S
    filter: condition.Condition | None = None
    raw_filter: Json = None
    reply: ReplyConfig = ReplyConfig()
    render: Compiled | None = None
    split: Path | None = None
    per_minute: int | None = None
    not_understood: str = ""
    methods: frozenset[Method] | None = None
    probes: frozenset[Method] = frozenset()

    def takes(self, method: str) -> bool:
        """Whether requests with this method may start runs."""
        return method in self.methods if self.methods is not None else method not in {"GET", "HEAD"}

    @property
    def open(self) -> bool:
        """Whether anybody who knows the address may send."""
        return isinstance(self.preset, Unverified)

    def __repr__(self) -> str:
        """Without the secrets: logs and tracebacks show locals."""
        return f"Hook(preset={self.preset!r})"


PLAIN = Hook()


def compile_hook(trigger: str, settings: JsonObject, secrets: tuple[str, ...]) -> Hook:
    """The hook of a trigger's type and configuration. Never raises: one that is not understood refuses all requests."""
    if not settings and trigger != RAW:
        return PLAIN
    try:
        return _compile(hook.load(settings), settings, raw=trigger == RAW, secrets=secrets)
    except (hook.BadHookConfig, condition.InvalidCondition, TemplateError) as error:
        preset = Unknown("the trigger's configuration is not understood")
        return Hook(plain=False, preset=preset, not_understood=str(error))


def _compile(config: HookConfig, settings: JsonObject, *, raw: bool, secrets: tuple[str, ...]) -> Hook:
    return Hook(
        plain=not settings,
        raw=raw,
        preset=config.preset(),
        proof=proof_of(config.verification),
        secrets=secrets,
        dedupe_window_s=config.dedupe.window_days * DAY_S,
        filter=hook.filter_of(settings),
        raw_filter=settings.get("filter"),
        reply=config.reply,
        render=compiled(config.reply.body) if config.reply.mode == "custom" else None,
        split=_split(config.split),
        per_minute=config.limit.per_minute if config.limit else None,
        methods=config.methods,
        probes=frozenset[Method](config.probes),
    )


def _split(wish: bool | str) -> Path | None:
    if isinstance(wish, str):
        return in_body(parse_path(wish))
    return () if wish else None
