"""Regular expressions that users write: those of RE2, whose time is linear in the text, whatever the expression."""

from functools import lru_cache
from typing import Any, TypeAlias

import re2

MAX_PATTERN = 1_000
"""Characters of a regular expression."""
MAX_PROGRAM = 5_000
"""Instructions of one, which bound its time per character."""

Pattern: TypeAlias = Any
"""RE2 ships without types."""


@lru_cache(maxsize=256)
def pattern_of(text: str, *, ignore_case: bool = False, captures: bool = True) -> Pattern:
    """A regular expression, ready for use. Raises ValueError that says what is wrong with it."""
    if not 1 <= len(text) <= MAX_PATTERN:
        raise ValueError(f"a regular expression has 1 to {MAX_PATTERN:,} characters")
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.never_capture = not captures
    options.max_mem = 1 << 20
    try:
        pattern = re2.compile(text, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise ValueError(f"not a regular expression of RE2 ({_reason(error)})") from None
    if pattern.programsize > MAX_PROGRAM:
        raise ValueError("the regular expression is too large")
    return pattern


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(error)
