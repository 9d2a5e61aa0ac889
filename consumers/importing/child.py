"""One import, in a process of its own that ends with it: whatever a document does, it does it there."""

import asyncio
from uuid import UUID

import msgspec

from consumers.importing.frames import Answer, Listed, Refused, Told, Wanted
from consumers.rendering.process import Died, Process
from domain.imported.document import Unusable, Wish
from sql.process.sharing import Shared

WALL_S = 60.0
MAX_ANSWER = 64 * 2**20
TOO_MUCH = "reading the document takes more time or memory than there is for it"

_answers: "msgspec.json.Decoder[Answer]" = msgspec.json.Decoder(Answer)
AT_ONCE = 1
"""Imports of this process at a time: each may take a whole CPU and hundreds of megabytes."""
_turns = Shared(range(AT_ONCE))


async def imported(tenant_id: UUID, content: bytes, wish: Wish) -> Listed:
    """The connector of a document, when it is the tenant's turn. Raises Unusable."""
    async with _turns.one(tenant_id):
        body = await _asked(msgspec.json.encode(Wanted(wish)) + b"\n" + content)
    match await asyncio.to_thread(_answers.decode, body):
        case Listed() as listed:
            return listed
        case Refused(reason, errors):
            raise Unusable(reason, list(errors))
        case Told(reason):
            raise Unusable(reason)


async def _asked(frame: bytes) -> bytes:
    process = Process("consumers.importing.worker", WALL_S, MAX_ANSWER)
    try:
        return await process.ask(frame)
    except Died:
        raise Unusable(TOO_MUCH) from None
    finally:
        await process.aclose()
