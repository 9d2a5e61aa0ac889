"""One person has one account, however the address is spelt."""

import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.values.email import Email, canonical, is_email, spellings, visible_length


@pytest.mark.parametrize(
    "spelling",
    [
        "josé@example.org",
        "jose\u0301@example.org",
        "JOSÉ@EXAMPLE.ORG",
        "JOSE\u0301@Example.org",
        "\uff4aos\u00e9@example.org",
        "jos\u00e9@example\uff0eorg",
        "jo\u200bs\u00e9@example.org",
        "\ufeffjos\u00e9@exam\u2060ple.org\u200d",
        "jos\u00ade\u0301@example.org",
        "jos\u034f\u00e9@example.org",
        "jos\u00e9\ufe0f@example.org",
        "j\u115fo\u3164s\u00e9@exam\u2800ple.org",
        "jos\u00e9@example.org.",
        "jos\u00e9@example\u3002org",
        "jos\u00e9@example\uff61org\u3002",
    ],
    ids=ascii,
)
def test_spellings_of_one_address_are_one(spelling: str) -> None:
    assert canonical(spelling) == "jos\u00e9@example.org"


@pytest.mark.parametrize(
    ("domain", "label"),
    [
        ("xn--mnchen-3ya.de", "münchen.de"), ("XN--MNCHEN-3YA.de", "münchen.de"), ("MÜNCHEN.de", "münchen.de"),
        ("xn--strae-oqa.de", "straße.de"), ("a.xn--fiqs8s", "a.中国"), ("xn--ls8h.la", "xn--ls8h.la"),
        ("xn--", "xn--"), ("xn--99999999999", "xn--99999999999"), ("a..xn--mnchen-3ya", "a..münchen"),
        ("xn--" + "a" * 200, "xn--" + "a" * 200),
    ],
)  # fmt: skip
def test_a_domain_is_spelt_as_people_read_it(domain: str, label: str) -> None:
    assert canonical(f"ada@{domain}") == f"ada@{label}"
    assert canonical(f"ada@{label}") == f"ada@{label}"
    assert canonical(f"xn--mnchen-3ya@{domain}") == f"xn--mnchen-3ya@{label}"


def test_an_account_is_looked_for_in_every_spelling_the_given_one_first() -> None:
    assert spellings("Ada@XN--mnchen-3ya.de") == ("ada@xn--mnchen-3ya.de", "ada@münchen.de")
    assert spellings("Ada@MÜNCHEN.de") == ("ada@münchen.de", "ada@xn--mnchen-3ya.de")
    assert spellings("ada@example.org") == ("ada@example.org",)


@given(st.text(max_size=100))
def test_the_canonical_spelling_is_among_those_that_are_looked_for(text: str) -> None:
    assert canonical(text) in spellings(text)


def test_different_addresses_stay_different() -> None:
    addresses = ["ada@example.org", "ada+x@example.org", "a.da@example.org", "ada@example.com", "ad\u00e0@example.org"]
    assert len({canonical(address) for address in addresses}) == len(addresses)


@given(st.text())
def test_the_canonical_spelling_is_its_own(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once
    assert canonical(unicodedata.normalize("NFD", text)) == once


@pytest.mark.parametrize(
    "blank",
    [
        " " * 8,
        "\t" * 20,
        "\u200b" * 9,
        "\u3000" * 8,
        "a" + " " * 30,
        "\x00" * 8,
        "\u2800" * 9,
        "\u3164" * 9,
        "\u115f" * 9,
        "pass" + "\ufe0f" * 9,
    ],
    ids=ascii,
)
def test_blanks_and_invisible_characters_are_not_seen(blank: str) -> None:
    assert visible_length(blank) < 8
    assert visible_length("correct horse") == 12


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("ada@example.org", True), ("josé+x@example.org", True), ("a@b", True), ("ada@example.org\n", False),
        ("ada", False), ("@example.org", False), ("ada@", False), ("a@b@c", False), ("a b@c", False), ("a,b@c", False),
        ("ada@a.org,eve@b.org", False), ("Ada <ada@example.org>", False), ('"a"@b', False), ("a\x00@b", False),
        ("a" * 65 + "@b", False), ("a@" + "b" * 253, False),
    ],
    ids=ascii,
)  # fmt: skip
def test_one_rule_says_what_an_address_is(text: str, right: bool) -> None:
    assert is_email(text) is right
    if right:
        assert msgspec.convert(text, Email) == text
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, Email)
