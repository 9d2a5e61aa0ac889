"""E-mail addresses: what is one, and one spelling for all that are the same."""

import re
import unicodedata
from typing import Annotated

import msgspec

MAX_EMAIL = 254
_NOT_IN_EMAIL = r'@\s\x00-\x1f\x7f"(),:;<>\[\]\\'
"""What separates addresses, or stands around them: mail libraries would read something else."""
_PATTERN = rf"^[^{_NOT_IN_EMAIL}]{{1,64}}@[^{_NOT_IN_EMAIL}]+\Z"

Email = Annotated[str, msgspec.Meta(max_length=MAX_EMAIL, pattern=_PATTERN)]


def is_email(text: str) -> bool:
    """Whether a text is one e-mail address."""
    return len(text) <= MAX_EMAIL and re.search(_PATTERN, text) is not None


def canonical(address: str) -> str:
    """The address by which an account is found: one compatible spelling, no invisible characters, lower case.

    Source: Unicode Standard Annex 15 (NFKC) and general category Cf, which holds the zero-width characters.
    """
    visible = "".join(c for c in unicodedata.normalize("NFKC", address) if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", visible.lower())


def visible_length(text: str) -> int:
    """How many characters of a text can be seen: neither blanks nor controls nor zero-width ones."""
    return sum(unicodedata.category(c)[0] not in "CZ" for c in text)
