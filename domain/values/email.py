"""E-mail addresses: what is one, and one spelling for all that are the same."""

import re
import unicodedata
from typing import Annotated

import idna
import msgspec

MAX_EMAIL = 254
MAX_LABEL = 63
"""Characters between two dots of a domain."""
_NOT_IN_EMAIL = r'@\s\x00-\x1f\x7f"(),:;<>\[\]\\'
"""What separates addresses, or stands around them: mail libraries would read something else."""
EMAIL_PATTERN = rf"^[^{_NOT_IN_EMAIL}]{{1,64}}@[^{_NOT_IN_EMAIL}]+\Z"

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\uffa0\ufe00-\ufe0f\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""What shows nothing, beside category Cf: characters with Default_Ignorable_Code_Point, and the empty Braille cell."""

Email = Annotated[str, msgspec.Meta(max_length=MAX_EMAIL, pattern=EMAIL_PATTERN)]


def is_email(text: str) -> bool:
    """Whether a text is one e-mail address."""
    return len(text) <= MAX_EMAIL and re.search(EMAIL_PATTERN, text) is not None


def canonical(address: str) -> str:
    """The address by which an account is found: one compatible spelling, no invisible characters, lower case, and the
    labels of its domain as people read them (`münchen.de`, not `xn--mnchen-3ya.de`).

    Sources: Unicode Standard Annex 15 (NFKC), UTS 46 §2.3 (what is a dot in a domain, which may end in one), RFC 5891.
    """
    name, at, domain = _plain(address)
    return name + at + ".".join(map(_u_label, domain.split(".")))


def spellings(address: str) -> tuple[str, ...]:
    """The spellings under which an account with this address may be stored, the likeliest first.

    Older accounts have the labels of their domain as they were written.
    """
    name, at, domain = _plain(address)
    labels = [_u_label(label) for label in domain.split(".")]
    domains = (domain, ".".join(labels), ".".join(map(_a_label, labels)))
    return tuple(dict.fromkeys(name + at + domain for domain in domains))


def for_mail(address: str) -> str:
    """The spelling that every mail server understands: the domain as name servers know it."""
    name, at, domain = canonical(address).rpartition("@")
    return name + at + ".".join(map(_a_label, domain.split(".")))


def _plain(address: str) -> tuple[str, str, str]:
    visible = "".join(c for c in unicodedata.normalize("NFKC", address) if not _is_invisible(c))
    name, at, domain = unicodedata.normalize("NFKC", visible.lower()).rpartition("@")
    return name, at, domain.replace("\u3002", ".").rstrip(".")


def _u_label(label: str) -> str:
    """The label as people read it, where it is an internationalized one."""
    if not label.startswith("xn--") or len(label) > MAX_LABEL:
        return label
    try:
        return idna.ulabel(label)
    except UnicodeError:
        return label


def _a_label(label: str) -> str:
    """The label as name servers know it."""
    if label.isascii() or len(label) > MAX_LABEL:
        return label
    try:
        return idna.alabel(label).decode()
    except UnicodeError:
        return label


def visible_length(text: str) -> int:
    """How many characters of a text can be seen: neither blanks nor controls nor invisible ones."""
    return sum(unicodedata.category(c)[0] not in "CZ" and not _is_invisible(c) for c in text)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" or _INVISIBLE.match(character) is not None
