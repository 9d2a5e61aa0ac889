"""E-mail addresses: one person has one account, however the address is spelt."""

import unicodedata


def canonical(address: str) -> str:
    """The address by which an account is found: one compatible spelling, no invisible characters, lower case.

    Source: Unicode Standard Annex 15 (NFKC) and general category Cf, which holds the zero-width characters.
    """
    visible = "".join(c for c in unicodedata.normalize("NFKC", address) if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", visible.lower())


def visible_length(text: str) -> int:
    """How many characters of a text can be seen: neither blanks nor controls nor zero-width ones."""
    return sum(unicodedata.category(c)[0] not in "CZ" for c in text)
