"""OAuth 2.0 as a client: what is asked of whom, and what an answer means. RFC 6749, 7636 (PKCE), 7523 (JWT bearer)."""

import base64
import hashlib
from datetime import datetime, timedelta
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec

from domain.connection.kinds import OAuth2, OAuth2Config
from domain.values.json import Json, JsonObject, MalformedJson, parse

MARGIN = timedelta(seconds=60)
"""A token is replaced so long before it expires."""
LONGEST_S = 10 * 365 * 86_400
"""How long a token lasts at most, whatever its server says: that may be no number, or one that no date can hold."""
ASSERTION_S = 300
_FOR_GOOD = frozenset(
    {"invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}
)
"""Errors that no repeat heals (RFC 6749 §5.2)."""
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_OFFLINE = {"accounts.google.com": (("access_type", "offline"), ("prompt", "consent"))}
"""What an authorization server wants to hear before it gives a refresh token."""


class Tokens(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an authorization server has given; sealed wherever it is kept."""

    access_token: str
    refresh_token: str = ""
    expires_at: datetime | None = None
    scope: str = ""

    def __repr__(self) -> str:
        return "Tokens(…)"

    def last(self, now: datetime) -> bool:
        """Whether the access token can still be used."""
        return self.expires_at is None or self.expires_at - MARGIN > now


class Refused(msgspec.Struct, frozen=True):
    """No token. `for_good`: not before somebody has done something about it."""

    code: str
    detail: str
    for_good: bool


Form: TypeAlias = list[tuple[str, str]]


class _Answer(msgspec.Struct, frozen=True):
    access_token: str = ""
    refresh_token: str = ""
    expires_in: int | float | None = None
    scope: str | list[str] = ""
    error: Json = None
    error_description: str = ""


def challenge(verifier: str) -> str:
    """The code challenge of a verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def consent(config: OAuth2Config, *, redirect_uri: str, state: str, verifier: str) -> Form:
    """The parameters with which a browser is sent to the authorization server."""
    pairs = [
        ("response_type", "code"),
        ("client_id", config.client_id),
        ("redirect_uri", redirect_uri),
        *([("scope", " ".join(config.scopes))] if config.scopes else []),
        ("state", state),
        ("code_challenge", challenge(verifier)),
        ("code_challenge_method", "S256"),
        *([("audience", config.audience)] if config.audience else []),
    ]
    host = urlsplit(config.authorize_url or "").hostname or ""
    return [*pairs, *_OFFLINE.get(host, ())]


def exchange(code: str, *, redirect_uri: str, verifier: str) -> Form:
    """The request that trades a code for tokens (RFC 6749 §4.1.3)."""
    return [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ]


def renewal(setup: OAuth2, tokens: Tokens | None, assertion: str) -> Form | None:
    """The request for a new access token; None where somebody has to consent first."""
    config = setup.config
    scope = [("scope", " ".join(config.scopes))] if config.scopes else []
    match config.grant:
        case "client_credentials":
            audience = [("audience", config.audience)] if config.audience else []
            return [("grant_type", "client_credentials"), *scope, *audience]
        case "jwt_bearer":
            return [("grant_type", _JWT_BEARER), ("assertion", assertion)]
        case "authorization_code":
            if tokens is None or not tokens.refresh_token:
                return None
            return [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token)]


def claims(config: OAuth2Config, now: datetime) -> dict[str, object]:
    """What a service account's assertion says (RFC 7523 §3)."""
    scope = {"scope": " ".join(config.scopes)} if config.scopes else {}
    issued = int(now.timestamp())
    return {
        "iss": config.client_id,
        "sub": config.client_id,
        "aud": config.audience or config.token_url,
        "iat": issued,
        "exp": issued + ASSERTION_S,
        **scope,
    }


def answered(status: int, body: bytes, content_type: str, now: datetime, before: Tokens | None) -> Tokens | Refused:
    """What the answer of a token endpoint means. A refresh token that it leaves out stays as it was."""
    try:
        answer = msgspec.convert(_fields(body, content_type), _Answer, strict=False)
    except (MalformedJson, msgspec.ValidationError, ValueError):
        return Refused("unreadable", f"the token endpoint answered {status}, and no tokens", for_good=False)
    if answer.access_token and status < 300 and not answer.error:
        seconds = answer.expires_in
        return Tokens(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or (before.refresh_token if before else ""),
            expires_at=now + timedelta(seconds=max(0, min(LONGEST_S, seconds))) if seconds else None,
            scope=answer.scope if isinstance(answer.scope, str) else " ".join(answer.scope),
        )
    code = str(answer.error or f"http_{status}")[:100]
    detail = f"the token endpoint answered {status}: {code}" + (
        f", {answer.error_description[:300]}" * bool(answer.error_description)
    )
    return Refused(code, detail, for_good=code in _FOR_GOOD)


def _fields(body: bytes, content_type: str) -> JsonObject:
    """JSON, or a form, as some servers answer."""
    if "x-www-form-urlencoded" in content_type or (
        content_type.startswith("text/") and not body.lstrip().startswith(b"{")
    ):
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=100))
    found = parse(body)
    if not isinstance(found, dict):
        raise MalformedJson("it is no object")
    return {name: value for name, value in found.items() if value is not None}
