"""Chains of runs that start one another through webhooks: their length is in a header that only we can write.

A request of a run carries TriggerHub-Depth: the number of runs before it, the zap that sent it and those before that
one, and a MAC over all, with a key derived from the installation's secret. A header that is not ours counts as none.
"""

import hmac
import re
from functools import lru_cache
from uuid import UUID, uuid5

import msgspec

HEADER = "TriggerHub-Depth"
MAX_DEPTH = 10
"""Runs in a chain; a request beyond is refused."""
OWN_PER_MINUTE = 60
"""Runs a minute that a zap's runs may start of itself, also through others: a chain that branches makes many."""

_FORM = re.compile(r"([0-9]{1,4})\.([0-9a-f]{32}(?:-[0-9a-f]{32}){0,10})\.([0-9a-f]{32})")


class Hop(msgspec.Struct, frozen=True):
    """A request that a run made: `depth` is that of the run which it would start.

    `via`: the zaps of the runs that led to the one of `zap_id`, the first one first.
    """

    depth: int
    zap_id: UUID
    via: tuple[UUID, ...] = ()

    @property
    def zaps(self) -> tuple[UUID, ...]:
        """The zaps of all runs before the one that this would start."""
        return (*self.via, self.zap_id)


class Hops:
    """Writes the header with the first of the installation's secrets, reads it with any. Without: neither."""

    def __init__(self, secret: str) -> None:
        secrets = filter(None, secret.split(","))
        self._keys = [hmac.digest(one.encode(), b"TriggerHub-Depth v1", "sha256") for one in secrets]

    def write(self, hop: Hop) -> str:
        """The header's value, empty for none."""
        if not self._keys:
            return ""
        said = f"{hop.depth}.{'-'.join([zap_id.hex for zap_id in hop.zaps])}"
        return f"{said}.{_mac(self._keys[0], said)}"

    def read(self, value: str) -> Hop | None:
        """The request's hop, None where the header is not one of ours."""
        parts = _FORM.fullmatch(value)
        if parts is None:
            return None
        said, _, mac = value.rpartition(".")
        if not any(hmac.compare_digest(_mac(key, said), mac) for key in self._keys):
            return None
        *via, zap_id = [UUID(zap) for zap in parts[2].split("-")]
        return Hop(int(parts[1]), zap_id, tuple(via))


@lru_cache(maxsize=4_096)
def _mac(key: bytes, said: str) -> str:
    """Runs of one zap say the same again and again."""
    return hmac.digest(key, said.encode(), "sha256").hex()[:32]


def own_runs(zap_id: UUID) -> UUID:
    """The key of the limit on runs that a zap starts of itself."""
    return uuid5(zap_id, "runs of itself")


NO_HOPS = Hops("")
