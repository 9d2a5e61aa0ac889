"""E-mail addresses: what is one, and one spelling for all that are the same."""

import re
import unicodedata
from typing import Annotated

import msgspec

MAX_EMAIL = 254
_NOT_IN_EMAIL = r'@\s\x00-\x1f\x7f"(),:;<>\[\]\\'
"""What separates addresses, or stands around them: mail libraries would read something else."""
_PATTERN = rf"^[^{_NOT_IN_EMAIL}]{{1,64}}@[^{_NOT_IN_EMAIL}]+\Z"

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\uffa0\ufe00-\ufe0f\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""What shows nothing, beside category Cf: characters with Default_Ignorable_Code_Point, and the empty Braille cell."""

Email = Annotated[str, msgspec.Meta(max_length=MAX_EMAIL, pattern=_PATTERN)]


def is_email(text: str) -> bool:
    """Whether a text is one e-mail address."""
    return len(text) <= MAX_EMAIL and re.search(_PATTERN, text) is not None


def canonical(address: str) -> str:
    """The address by which an account is found: one compatible spelling, no invisible characters, lower case.

    Sources: Unicode Standard Annex 15 (NFKC), UTS 46 §2.3 (what is a dot in a domain, which may end in one).
    """
    visible = "".join(c for c in unicodedata.normalize("NFKC", address) if not _is_invisible(c))
    name, at, domain = unicodedata.normalize("NFKC", visible.lower()).rpartition("@")
    return name + at + domain.replace("\u3002", ".").rstrip(".")


def visible_length(text: str) -> int:
    """How many characters of a text can be seen: neither blanks nor controls nor invisible ones."""
    return sum(unicodedata.category(c)[0] not in "CZ" and not _is_invisible(c) for c in text)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" or _INVISIBLE.match(character) is not None
