"""Erasure of one person's data: /api/v1/erasures."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller
from litestar.params import JSONBody

from app.accounts.auth import AuthedRequest
from app.http.inputs import Injected, Input
from app.http.openapi.notes import command
from consumers.jobs.erasures import Erasures, SubjectErased


class ErasureRequest(Input, frozen=True):
    """Whose data: the value that stands where `settings.subject` of your zaps says. `after`: a `next_after`."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    after: UUID | None = None


class ErasureController(Controller):
    """Forgets what runs carried of somebody."""

    path = "/erasures"
    tags = ("Runs",)

    @command("/", "eraseSubject", "Forget a person", "limit_reached")
    async def erase(
        self, data: JSONBody[ErasureRequest], request: AuthedRequest, erasures: Injected[Erasures]
    ) -> SubjectErased:
        """Forgets the payloads of all runs that carry the data of one subject, oldest first, a thousand runs at a time.

        Repeat it with `after` while there is a `next_after`. Runs in `under_way` have not ended: cancel them, or come
        again. Only zaps with `settings.subject` are looked at. It cannot be taken back.
        """
        return await erasures.erase_subject(request.user.tenant_id, data.subject, data.after, request.user.metadata)
