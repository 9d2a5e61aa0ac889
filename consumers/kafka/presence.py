"""Who of a consumer group is dead, though the broker waits for it still.

A broker takes a silent consumer for dead after six seconds, and shares its partitions only then. PostgreSQL knows at
once that a process has ended, as its connections are gone. So each member of a group holds a connection under its name,
and takes those out of the group who hold none. A process that stands still keeps its connection: it is left to the
broker, and so is whoever has another name than members of this release.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity

from sql.postgres.pool import CONNECTION_ERRORS, Connection, connect
from sql.postgres.queries import Queries
from sql.process.clock import new_id
from sql.process.patience import rest

log = structlog.get_logger()
_members = Queries("queries/members.sql")
LOOK_S = 1.0
"""Between two looks at the group."""
CONFIRM_S = 0.4
"""After which whoever has no connection is looked for again: one that has lost it makes another at once."""
GRACE_S = 3.0
"""How long nobody is taken for dead after our own connection was lost: others have lost theirs with the database."""
RETRY_S = 0.1
STABLE = "Stable"
"""The state of a group whose members have their partitions (KIP-222)."""
_TIMEOUT_MS = 5_000
_TOKEN = 32
_SHOWN_AS = "triggerhub member "
"""Before the token, as `connect` names connections."""


class Presence:
    """A member's sign of life, and its look at the others."""

    def __init__(self, dsn: str, servers: str, group: str, security: BaseSecurity) -> None:
        self._dsn = dsn
        self._group = group
        self._prefix = f"triggerhub-{group}-"
        self._token = new_id().hex
        self._taken_out: set[str] = set()
        self._admin_options = {"bootstrap_servers": servers, **parse_security(security)}

    @property
    def client_id(self) -> str:
        """The name by which the others know this member: brokers make a member's id of it."""
        return self._prefix + self._token

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Be known to live, and look after the others. Raises what connections and brokers raise, at the start.

        Whoever joins first takes out the dead: the group would wait for them.
        """
        connection = await self._connect()
        try:
            async with self._admin() as admin:
                await self._take_out(admin, await self._dead(admin, connection))
        except KafkaError as error:
            # Such as a coordinator that is not there yet, or a look that is forbidden: then the group waits as ever.
            log.info("presence.interrupted", group=self._group, error=repr(error))
        except BaseException:
            connection.terminate()
            raise
        watching = asyncio.create_task(self._watch(connection))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _connect(self) -> Connection:
        return await connect(self._dsn, f"member {self._token}", statement_timeout="5s")

    async def _watch(self, connection: Connection) -> None:
        """Look after the others for as long as the task lives, whatever happens: it keeps the sign of life, too."""
        pause_s = LOOK_S
        while True:
            try:
                await asyncio.sleep(pause_s)
                async with self._admin() as admin:
                    await self._look_until_lost(admin, connection)
            except (KafkaError, *CONNECTION_ERRORS) as error:
                log.info("presence.interrupted", group=self._group, error=repr(error))
            except Exception:
                log.exception("presence.failed", group=self._group)
            finally:
                connection.terminate()
            connection = await self._connect_again()
            pause_s = GRACE_S

    async def _connect_again(self) -> Connection:
        while True:
            try:
                return await self._connect()
            except CONNECTION_ERRORS:
                await asyncio.sleep(RETRY_S)

    async def _look_until_lost(self, admin: AIOKafkaAdminClient, connection: Connection) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        while not connection.is_closed() and not await rest(lost, LOOK_S):
            if dead := await self._dead(admin, connection):
                await asyncio.sleep(CONFIRM_S)
                await self._take_out(admin, dead & await self._dead(admin, connection))

    async def _dead(self, admin: AIOKafkaAdminClient, connection: Connection) -> set[str]:
        """The ids of those members who hold no connection."""
        tokens = {member: token for member in await self._members(admin) if (token := self._token_of(member))}
        if not tokens:
            return set()
        asked = {self._token, *tokens.values()}
        rows = await connection.fetch(_members["present"], [f"{_SHOWN_AS}{token}" for token in asked])
        present = {str(row[0]).removeprefix(_SHOWN_AS) for row in rows}
        if self._token not in present:
            return set()  # names of connections do not arrive here, so they say nothing of others either
        return {member for member, token in tokens.items() if token not in present}

    async def _members(self, admin: AIOKafkaAdminClient) -> list[str]:
        """Nobody's while the group is being shared anew: who leaves then can have brokers wait for the rest of it."""
        [answer] = await admin.describe_consumer_groups([self._group])
        groups = [group for group in answer.to_object()["groups"] if group["state"] == STABLE]
        return [str(member["member_id"]) for group in groups for member in group["members"]]

    def _token_of(self, member: str) -> str:
        """What another member of this release is known by; empty for ourselves and all others.

        Whoever is back after it was taken out does live, wherever its connection is: nobody is taken out twice.
        """
        found = re.match(f"{re.escape(self._prefix)}([0-9a-f]{{{_TOKEN}}})-", member)
        return found[1] if found and found[1] not in {self._token, *self._taken_out} else ""

    async def _take_out(self, admin: AIOKafkaAdminClient, members: Collection[str]) -> None:
        """Leave the group in the name of others."""
        for member in members:
            log.warning("presence.member_is_dead", group=self._group, member=member)
            self._taken_out.add(self._token_of(member))
            coordinator = await admin.find_coordinator(self._group)
            # aiokafka has a method for a consumer that leaves by itself only.
            await admin._send_request_to_node(coordinator, LeaveGroupRequest(self._group, member))  # noqa: SLF001

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(
            request_timeout_ms=_TIMEOUT_MS, client_id="triggerhub-presence", **self._admin_options
        )
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()
