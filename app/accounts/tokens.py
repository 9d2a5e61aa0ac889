"""The secrets that clients hold: access tokens (JWT), refresh tokens and API keys. Pure but for randomness.

JWT as RFC 7519 with the care of RFC 8725: one fixed algorithm, and every claim we rely on is required and checked.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import msgspec

ALGORITHM = "HS256"
ISSUER = "triggerhub"
AUDIENCE = "triggerhub-api"
ACCESS_LIFETIME = timedelta(minutes=15)
LEEWAY_S = 30
"""How far the clocks of two API machines may be apart."""
MAX_TOKEN = 4096
_REQUIRED = ["iss", "aud", "sub", "sid", "exp", "iat", "jti", "typ"]
_API_KEY, _REFRESH = "thk_", "thr_"
_MAC_LABEL = b"triggerhub refresh token\0"


class BadToken(ValueError):
    """The token is not ours, or no longer valid. It does not say which, as that would help a forger."""


class AccessClaims(msgspec.Struct, frozen=True):
    """What an access token proves."""

    user_id: UUID
    session_id: UUID
    expires_at: datetime


class RefreshToken(msgspec.Struct, frozen=True):
    """The `number`-th refresh token of a session, counted from 0."""

    session_id: UUID
    number: int

    def next(self) -> "RefreshToken":
        """The token that replaces this one; always the same, so that a lost reply can be repeated."""
        return RefreshToken(self.session_id, self.number + 1)


class Tokens:
    """Makes tokens with the first secret of TRIGGERHUB_JWT_SECRET, reads those of any: at least 32 bytes each."""

    def __init__(self, secrets: str) -> None:
        self._secrets = [secret.encode() for secret in secrets.split(",")]
        if any(len(secret) < 32 for secret in self._secrets):
            raise ValueError("each JWT secret needs at least 32 bytes")

    def access(self, user_id: UUID, session_id: UUID, now: datetime, token_id: UUID) -> str:
        """A token for ACCESS_LIFETIME from `now`."""
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": now,
            "exp": now + ACCESS_LIFETIME,
            "jti": str(token_id),
            "typ": "access",
        }
        return jwt.encode(claims, self._secrets[0], algorithm=ALGORITHM)

    def read_access(self, token: str) -> AccessClaims:
        """What the token proves. Raises BadToken."""
        if len(token) > MAX_TOKEN:
            raise BadToken
        *others, last = self._secrets
        for secret in others:
            with suppress(BadToken):
                return self._read_access(token, secret)
        return self._read_access(token, last)

    def _read_access(self, token: str, secret: bytes) -> AccessClaims:
        try:
            claims = jwt.decode(
                token,
                secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=LEEWAY_S,
                options={"require": _REQUIRED, "strict_aud": True},
            )
            if claims["typ"] != "access":
                raise BadToken
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            return AccessClaims(UUID(claims["sub"]), UUID(claims["sid"]), expires_at)
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise BadToken from error

    def refresh(self, token: RefreshToken) -> str:
        """The text of a refresh token: session, number, and a MAC that tells a stolen old one from a guess."""
        body = token.session_id.bytes + token.number.to_bytes(4)
        return _REFRESH + base64.urlsafe_b64encode(body + _mac(self._secrets[0], body)).decode().rstrip("=")

    def read_refresh(self, text: str) -> RefreshToken:
        """The token, if we made it; whether it is still current is for the session's row. Raises BadToken."""
        if not text.startswith(_REFRESH) or len(text) > 100:
            raise BadToken
        try:
            raw = base64.b64decode(text.removeprefix(_REFRESH) + "==", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadToken from error
        body, mac = raw[:20], raw[20:]
        if len(body) != 20 or not any(hmac.compare_digest(mac, _mac(secret, body)) for secret in self._secrets):
            raise BadToken
        return RefreshToken(UUID(bytes=body[:16]), int.from_bytes(body[16:]))


def _mac(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, _MAC_LABEL + body, "sha256")


def new_api_key() -> str:
    """A key with 256 random bits."""
    return _API_KEY + secrets.token_urlsafe(32)


def is_api_key(text: str) -> bool:
    """Whether a bearer credential has the form of an API key."""
    return text.startswith(_API_KEY)


def key_prefix(key: str) -> str:
    """The part of a key that may be shown, so that its user recognises it."""
    return key[:12]


def fingerprint(secret: str) -> bytes:
    """SHA-256, which is enough for random secrets, unlike for passwords."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
