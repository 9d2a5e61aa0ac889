"""What a connection puts into a request."""

import base64
from collections.abc import Iterable
from typing import assert_never

import msgspec

from domain.connection.kinds import Account, ApiKey, Basic, Bearer, Custom, Imap, OAuth2, Postgres, Setup, Smtp

WORD = 8
"""Characters of a word in a header that may be a secret by itself."""
Pairs = tuple[tuple[str, str], ...]


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """Headers, query parameters and parts of paths, the only hosts that they go to, and the secret texts in them."""

    hosts: tuple[str, ...]
    secrets: tuple[str, ...]
    headers: Pairs = ()
    query: Pairs = ()
    path: Pairs = ()

    def __repr__(self) -> str:
        """Without its secrets: what is printed ends up in logs."""
        return f"Credential(hosts={self.hosts!r})"


def credential_of(setup: Setup, access_token: str = "") -> Credential:
    """The credential of a connection; of one with OAuth with the token that it has now."""
    hosts = setup.config.hosts
    match setup:
        case Bearer(secrets=bearer):
            return _bearer(hosts, bearer.token)
        case OAuth2():
            return _bearer(hosts, access_token)
        case ApiKey(config=config, secrets=key):
            pair = ((config.name, key.value),)
            return Credential(
                hosts=hosts,
                secrets=(key.value,),
                headers=pair if config.in_ == "header" else (),
                query=pair if config.in_ == "query" else (),
                path=pair if config.in_ == "path" else (),
            )
        case Basic(config=user, secrets=account):
            both = base64.b64encode(f"{user.username}:{account.password}".encode()).decode()
            return Credential(
                hosts=hosts, secrets=(account.password, both), headers=(("Authorization", f"Basic {both}"),)
            )
        case Custom(secrets=custom):
            values = custom.headers.values()
            return Credential(hosts=hosts, secrets=_words(values), headers=tuple(custom.headers.items()))
        case Smtp() | Imap() | Postgres():
            return Credential(hosts=hosts, secrets=(setup.secrets.password,))
        case _:
            assert_never(setup)


def account_of(setup: Setup) -> Account | None:
    """What a connector logs in with by itself; None for what goes along with HTTP requests."""
    return setup if isinstance(setup, Smtp | Imap | Postgres) else None


def _words(values: Iterable[str]) -> tuple[str, ...]:
    """The values, and their long words: a target may repeat the token of `Bearer …` alone."""
    return tuple(text for value in values for text in (value, *(w for w in value.split() if len(w) >= WORD)))


def _bearer(hosts: tuple[str, ...], token: str) -> Credential:
    return Credential(hosts=hosts, secrets=(token,), headers=(("Authorization", f"Bearer {token}"),))
