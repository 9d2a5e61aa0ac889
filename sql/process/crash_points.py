"""Named points at which a process can be told to die, so that tests can crash it between any two effects.

`TRIGGERHUB_CRASH_AT=runner.after_action:3` arms one; unarmed, passing a point is one comparison.
"""

import os

POINTS: tuple[str, ...] = (
    "api.before_append",
    "api.after_append",
    "api.before_callback",
    "api.after_callback",
    "relay.after_read",
    "relay.after_send",
    "relay.after_checkpoint",
    "runner.before_action",
    "runner.after_action",
    "runner.after_record",
    "runner.after_token",
    "projector.in_batch",
    "scheduler.before_firing",
    "scheduler.after_firing",
    "scheduler.archive_recorded",
    "scheduler.archive_rewritten",
)
"""`role.moment`: only a process of that role dies there."""
EXIT_CODE = 137
"""As a shell reports SIGKILL; nothing is flushed or closed."""

_armed: dict[str, int] = {}
"""How often the armed point is passed before the process dies."""


def parse(spec: str) -> tuple[str, int]:
    """A point, and the pass at which to die, from `point` or `point:pass`. Raises ValueError."""
    point, passes = spec.split(":", 1) if ":" in spec else (spec, "1")
    if point not in POINTS:
        raise ValueError(f"give one of {', '.join(POINTS)}, and after a colon at which pass")
    if not passes.isdecimal() or int(passes) < 1:
        raise ValueError("give the pass as a whole number from 1")
    return point, int(passes)


def arm(spec: str, role: str) -> None:
    """Arm what `spec` names, where the point is one of this role's; an empty one arms nothing. Raises ValueError."""
    _armed.clear()
    if not spec:
        return
    point, passes = parse(spec)
    if point.startswith(f"{role}."):
        _armed[point] = passes


def reached(point: str) -> None:
    """Die here if this is the armed point, and the pass it was armed for."""
    if point not in _armed:
        return
    _armed[point] -= 1
    if not _armed[point]:
        os._exit(EXIT_CODE)
