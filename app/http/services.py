"""What the HTTP side is built from; app/roles/roles.py makes it, tests make their own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from argon2 import PasswordHasher

from app.accounts.passwords import OWASP
from app.config.parsers import Network, WhoMaySignUp
from domain.connector.catalog import Catalog
from domain.log.ports import Clock, NewId
from sql.files.store import FileStore
from sql.log.event_store import PgEventStore
from sql.process import clock


async def always_ready() -> list[str]:
    """A readiness that never fails."""
    return []


@dataclass(frozen=True, kw_only=True)
class Services:
    """`dsn` is for the connection that listens to the log; `max_body` is in bytes, for webhooks only.

    `encryption_key` is 32 bytes in URL-safe base64; it and `jwt_secret` may be several, with commas between them.
    `max_held`: bytes of requests that a paused zap may hold. `user_per_minute` limits the webhooks to all zaps of one
    user. `readiness` names the checks that fail right now.
    `files`: where files are kept; without it, in the database.
    `archive`: where archives are.
    `has_mail`: whether the schedulers have a mail server.
    `trusted_proxies` are those whose word about the client is believed. `outbound_allow`: internal networks that tests
    of drafts may reach.
    """

    store: PgEventStore
    dsn: str = field(repr=False)
    catalog: Catalog
    jwt_secret: str = field(repr=False)
    encryption_key: str = field(repr=False)
    public_url: str
    hop_secret: str = field(default="", repr=False)
    has_mail: bool = False
    archive: str = ""
    max_body: int = 10 * 2**20
    max_held: int = 256 * 2**20
    files: FileStore | None = None
    user_per_minute: int | None = None
    trusted_proxies: tuple[Network, ...] = ()
    outbound_allow: tuple[Network, ...] = ()
    signup: WhoMaySignUp = "on"
    password_hasher: PasswordHasher = OWASP
    now: Clock = clock.now
    new_id: NewId = clock.new_id
    readiness: Callable[[], Awaitable[list[str]]] = always_ready

    @property
    def file_store(self) -> FileStore:
        """Where files are kept."""
        return self.files or FileStore(self.store.pool, self.now, self.new_id)

    @property
    def public_path(self) -> str:
        """The path of the public URL: a proxy's, below which people reach this installation; mostly empty."""
        return urlsplit(self.public_url).path
