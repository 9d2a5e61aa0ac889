"""What the answer of a token endpoint means, whatever it says of how long a token lasts."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.connection.oauth import LONGEST_S, Tokens, answered

AT = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expires_in", "lasts_s"),
    [
        ("3600", 3_600), ('"3600"', 3_600), ("0.5", 0.5), ('"nan"', LONGEST_S), ('"inf"', LONGEST_S), ('"-inf"', 0),
        ("-1e308", 0), ("1e308", LONGEST_S),
        ("9" * 400, LONGEST_S), ("-" + "9" * 400, 0),
    ],
)  # fmt: skip
def test_no_duration_breaks_its_reader(expires_in: str, lasts_s: float) -> None:
    body = f'{{"access_token": "a", "expires_in": {expires_in}}}'.encode()
    found = answered(200, body, "application/json", AT, None)
    assert found == Tokens("a", expires_at=AT + timedelta(seconds=lasts_s))
