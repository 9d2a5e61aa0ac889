"""The names that templates and conditions can use at each place, and guesses at what was meant instead.

A reason ends with `did you mean …?` where that can be guessed.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from types import MappingProxyType

import msgspec

from domain.language.scope import Keys, written
from domain.values.path import Path

_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "trigger": (
            *("method", "path", "query", "query_string", "headers", "body", "why_text", "event"),
            *("due_at", "local", "late_s"),
        ),
        "run": ("id",),
        "zap": ("id", "version"),
        "loop": ("index", "count", "parent"),
    }
)
_STEP = ("output", "error")
_ALWAYS = ("now", "today")
_ANY = frozenset({"size", "first", "last"})


NAMES = ("trigger", "steps", "run", "zap", "vars")
IN_LOOP = (*NAMES, "item", "loop")


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """The names in use: the roots, the ids of earlier steps, and those of other steps with the reason against each.

    `several`: the zap has several triggers, so that there are `trigger.id` and `trigger.type`.
    `callbacks`: the steps ahead that wait for a callback. `variables`: their names, and whether each is secret; None
    where they are not looked at. `sends`: what is rendered goes to others only, so that it may hold secrets.
    """

    roots: tuple[str, ...] = NAMES
    before: Collection[str] = ()
    others: Mapping[str, str] = {}
    several: bool = False
    callbacks: Collection[str] = ()
    variables: Mapping[str, bool] | None = None
    sends: bool = False
    outputs: Mapping[str, Collection[str]] = {}

    def wrong(self, keys: Keys) -> str | None:
        """The mistake in a path; None where a value may be there."""
        root = keys[0]
        if root == "steps" and root in self.roots:
            return self._wrong_step(keys)
        if root in _FIELDS and root in self.roots:
            return self._wrong_field(str(root), keys)
        if root == "vars" and root in self.roots:
            return self._wrong_variable(keys)
        if root == "callback" and "steps" in self.roots:
            return self._wrong_callback(keys)
        return None if root in (*self.roots, *_ALWAYS) else self._unknown(keys)

    def _wrong_field(self, root: str, keys: Keys) -> str | None:
        fields = (*_FIELDS[root], *(("id", "type") if self.several and root == "trigger" else ()))
        if len(keys) == 1 or keys[1] in fields or keys[1] in _ANY:
            return None
        near = _close(keys[1], fields)
        meant: Keys | None = (
            (root, near, *keys[2:]) if near else (root, "body", *keys[1:]) if root == "trigger" else None
        )
        return _said(keys, f"{root} has {', '.join(fields)}", written(meant) if meant else None)

    def _wrong_step(self, keys: Keys) -> str | None:
        if len(keys) == 1 or keys[1] in _ANY:
            return None
        step = keys[1]
        if step in self.others:
            return f"{written(keys)} is never there: {self.others[str(step)]}"
        if step not in self.before:
            near = _close(step, self.before)
            known = (
                f"the steps before this one are {', '.join(self.before)}"
                if self.before
                else "no step is before this one"
            )
            return _said(keys, known, written(("steps", near, *keys[2:])) if near else None)
        if len(keys) == 2 or keys[2] in _ANY:
            return None
        if keys[2] not in _STEP:
            return _said(keys, "a step has output and error", written((*keys[:2], "output", *keys[2:])))
        return self._wrong_output(keys) if keys[2] == "output" else None

    def _wrong_output(self, keys: Keys) -> str | None:
        fields = self.outputs.get(str(keys[1]))
        if fields is None or len(keys) == 3 or keys[3] in fields or keys[3] in _ANY:
            return None
        near = _close(keys[3], fields)
        meant = (*keys[:3], near, *keys[4:]) if near else (*keys[:3], "body", *keys[3:]) if "body" in fields else None
        return _said(keys, f"the output of {keys[1]} has {', '.join(fields)}", written(meant) if meant else None)

    def _wrong_variable(self, keys: Keys) -> str | None:
        if self.variables is None or len(keys) == 1:
            return None
        secret = self.variables.get(str(keys[1]))
        if secret is None:
            near = _close(keys[1], self.variables)
            known = f"the variables are {', '.join(sorted(self.variables))}" if self.variables else "no variable is set"
            return _said(keys, known, written(("vars", near)) if near else None)
        if secret and not self.sends:
            return f"{written(keys)} is secret: only what a step sends to others may hold it, as all else is on record"
        return None

    def _wrong_callback(self, keys: Keys) -> str | None:
        if len(keys) > 1 and keys[1] in self.callbacks:
            is_url = keys[2:] in ((), ("url",))
            return None if is_url else _said(keys, "a callback has url", written((*keys[:2], "url")))
        ahead = ", ".join(sorted(self.callbacks))
        known = f"those ahead that wait for a callback are {ahead}" if ahead else "no step ahead waits for a callback"
        near = _close(keys[1], self.callbacks) if len(keys) > 1 else None
        return _said(keys, known, written(("callback", near, "url")) if near else None)

    def _unknown(self, keys: Keys) -> str:
        near = self._meant(keys)
        return _said(keys, f"known are {', '.join(self.roots)}", written(near) if near else None)

    def _meant(self, keys: Keys) -> Keys | None:
        root = keys[0]
        if "steps" in self.roots and root in self.before:
            return ("steps", *keys) if len(keys) > 1 and keys[1] in _STEP else ("steps", root, "output", *keys[1:])
        if root in _FIELDS["trigger"]:
            return ("trigger", *keys)
        near = _close(root, self.roots)
        return (near, *keys[1:]) if near else None


def _said(keys: Keys, known: str, right: str | None) -> str:
    return f"there is no {written(keys)}: {known}" + (f"; did you mean {right}?" if right else "")


def _close(word: object, known: Collection[str]) -> str | None:
    return next(iter(get_close_matches(str(word)[:100], list(known), 1)), None)


TRIGGER_ONLY = Names(roots=("trigger",))
"""For filters, serial keys and paths into a request."""
REPLY = Names(roots=("trigger", "run", "zap"))
"""For the reply to a request."""
BODY = ("trigger", "body")


def body_path(keys: Keys) -> str | None:
    """The mistake in a path that has to lead into a request's body; None where it does."""
    if keys[:2] == BODY:
        return None
    meant = keys if keys[0] == "trigger" else (("trigger", *keys) if keys[0] == "body" else (*BODY, *keys))
    right = written(meant) if meant[:2] == BODY else "trigger.body"
    return f"a path into the body begins with trigger.body; did you mean {right}?"


def in_body(path: Path) -> Path:
    """The part of a path inside the body; paths that older releases saved begin there."""
    return path[2:] if path[:2] == BODY else path
