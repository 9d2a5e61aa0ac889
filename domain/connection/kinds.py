"""The kinds of connections: what each is set up with, and which parts of that are secret.

A secret is never in an event, an answer or a log. What is here describes it, and is sealed wherever it is kept.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.values.json import JsonObject
from domain.values.shapes import HOST

_LINE = r"^[^\x00-\x1f\x7f]*\Z"

Host = Annotated[str, Meta(max_length=260, pattern=HOST, description="A host name; *.example.com for all below it")]
Line = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=_LINE)]
Token = Annotated[str, Meta(min_length=1, max_length=16_000, pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?\Z")]
"""What goes into a header as it is."""
Password = Annotated[str, Meta(min_length=1, max_length=4_000)]
HeaderName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")]
HttpUrl = Annotated[str, Meta(max_length=2_000, pattern=r"^https?://[^\s/?#]+([/?#]\S*)?\Z")]
Port = Annotated[int, Meta(ge=1, le=65_535)]
MailTls: TypeAlias = Literal["starttls", "tls", "off"]
Grant: TypeAlias = Literal["authorization_code", "client_credentials", "jwt_bearer"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a setup, as clients send it."""


class _Secret(_Part, frozen=True, kw_only=True):
    def __repr__(self) -> str:
        """Without its values: what is printed ends up in logs."""
        return f"{type(self).__name__}(…)"


class Reach(_Part, frozen=True, kw_only=True):
    """`hosts`: the only ones that the credential goes to; without any, that of the first step that uses it."""

    hosts: Annotated[tuple[Host, ...], Meta(max_length=50)] = ()


class BearerSecrets(_Secret, frozen=True, kw_only=True):
    """Sent as `Authorization: Bearer …`."""

    token: Token


class ApiKeyConfig(Reach, frozen=True, kw_only=True):
    """The name of the header or query parameter that carries the key; or, in a path, the text that it takes the place
    of: `https://api.telegram.org/botBOT_TOKEN/getMe`.
    """

    in_: Literal["header", "query", "path"] = msgspec.field(name="in")
    name: HeaderName


class ApiKeySecrets(_Secret, frozen=True, kw_only=True):
    """The key."""

    value: Token


class BasicConfig(Reach, frozen=True, kw_only=True):
    """HTTP Basic (RFC 7617)."""

    username: Annotated[str, Meta(max_length=1_000, pattern=r"^[^:\x00-\x1f\x7f]*\Z")]


class PasswordSecrets(_Secret, frozen=True, kw_only=True):
    """The password of an account."""

    password: Password


class CustomSecrets(_Secret, frozen=True, kw_only=True):
    """Any headers."""

    headers: Annotated[dict[HeaderName, Token], Meta(min_length=1, max_length=20)]


class OAuth2Config(Reach, frozen=True, kw_only=True):
    """An OAuth 2.0 client (RFC 6749), with one of three grants; `authorize_url` is where people consent.

    `jwt_bearer` (RFC 7523) is for service accounts: `client_id` is the issuer, `audience` else the token URL.
    """

    grant: Grant
    token_url: HttpUrl
    client_id: Line
    authorize_url: HttpUrl | UnsetType = UNSET
    scopes: Annotated[tuple[Line, ...], Meta(max_length=100)] = ()
    audience: Line | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.grant == "authorization_code" and not self.authorize_url:
            raise ValueError("authorization_code needs an authorize_url, where people consent")


class OAuth2Secrets(_Secret, frozen=True, kw_only=True):
    """The client's secret, or the private key in PEM with which it signs; a public client with PKCE has none."""

    client_secret: Token | UnsetType = UNSET
    private_key: Annotated[str, Meta(min_length=1, max_length=16_000)] | UnsetType = UNSET


class SmtpConfig(Reach, frozen=True, kw_only=True):
    """An account at a mail server that sends."""

    host: Host
    port: Port = 587
    username: Line
    tls: MailTls = "starttls"


class ImapConfig(Reach, frozen=True, kw_only=True):
    """An account at a mail server that keeps mail."""

    host: Host
    port: Port = 993
    username: Line
    tls: MailTls = "tls"


class PostgresConfig(Reach, frozen=True, kw_only=True):
    """An account at a PostgreSQL server. `tls`: true checks the server's certificate, `require` only encrypts."""

    host: Host
    port: Port = 5432
    database: Line
    username: Line
    tls: bool | Literal["verify", "require", "off"] = True
    read_only: bool = True


class _Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """All that a connection is set up with."""


class Bearer(_Kind, frozen=True, kw_only=True, tag="bearer"):
    """A token."""

    config: Reach = Reach()
    secrets: BearerSecrets


class ApiKey(_Kind, frozen=True, kw_only=True, tag="api_key"):
    """A key in a header, in the query or in the path."""

    config: ApiKeyConfig
    secrets: ApiKeySecrets


class Basic(_Kind, frozen=True, kw_only=True, tag="basic"):
    """A user's name and password."""

    config: BasicConfig
    secrets: PasswordSecrets


class Custom(_Kind, frozen=True, kw_only=True, tag="custom"):
    """Headers of any names."""

    config: Reach = Reach()
    secrets: CustomSecrets


class OAuth2(_Kind, frozen=True, kw_only=True, tag="oauth2"):
    """A client that gets tokens, and new ones when they expire."""

    config: OAuth2Config
    secrets: OAuth2Secrets = OAuth2Secrets()

    def __post_init__(self) -> None:
        match self.config.grant:
            case "client_credentials" if not self.secrets.client_secret:
                raise ValueError("client_credentials needs secrets.client_secret")
            case "jwt_bearer" if not self.secrets.private_key:
                raise ValueError("jwt_bearer needs secrets.private_key")
            case _:
                pass


class Smtp(_Kind, frozen=True, kw_only=True, tag="smtp"):
    """Sends mails."""

    config: SmtpConfig
    secrets: PasswordSecrets


class Imap(_Kind, frozen=True, kw_only=True, tag="imap"):
    """Reads mails."""

    config: ImapConfig
    secrets: PasswordSecrets


class Postgres(_Kind, frozen=True, kw_only=True, tag="postgres"):
    """Queries a database."""

    config: PostgresConfig
    secrets: PasswordSecrets


Setup: TypeAlias = Bearer | ApiKey | Basic | Custom | OAuth2 | Smtp | Imap | Postgres
"""What a connection is set up with; `kind` tells which."""
Account: TypeAlias = Smtp | Imap | Postgres
"""Those that a connector logs in with by itself, as it speaks another protocol than HTTP."""
Kind: TypeAlias = Literal["bearer", "api_key", "basic", "custom", "oauth2", "smtp", "imap", "postgres"]
HTTP_KINDS: tuple[Kind, ...] = ("bearer", "api_key", "basic", "custom", "oauth2")
"""Those whose credential goes along with any HTTP request."""


def setup_of(kind: str, config: JsonObject, secrets: JsonObject) -> Setup:
    """The setup that was stored in parts. Raises msgspec.ValidationError."""
    parts: dict[str, Any] = {"kind": kind, "config": config, "secrets": secrets}
    setup: Setup = msgspec.convert(parts, Setup)
    return setup


def texts_of(secrets: JsonObject) -> tuple[str, ...]:
    """The secret texts themselves."""
    found: list[str] = []
    for value in secrets.values():
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            found += texts_of(value)
    return tuple(found)


def merged(old: JsonObject, change: JsonObject) -> JsonObject:
    """The old object with a change as in JSON Merge Patch (RFC 7396): null takes a field away."""
    new = dict(old)
    for name, value in change.items():
        before = new.get(name)
        if value is None:
            new.pop(name, None)
        elif isinstance(value, dict):
            new[name] = merged(before if isinstance(before, dict) else {}, value)
        else:
            new[name] = value
    return new
