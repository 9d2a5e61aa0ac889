"""Erasure of one person's data: /api/v1/erasures."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response
from litestar.params import JSONBody

from app.accounts.auth import AuthedRequest
from app.commands.jobs import MAX_COUNT, Jobs, list_item
from app.http.inputs import Injected, Input
from app.http.openapi.notes import command
from domain.job.job import STATUSES
from projections.job_list import JobListItem
from projections.run_keys import SubjectCount


class ErasureRequest(Input, frozen=True):
    """Whose data: the value that stands where `settings.subject` of your zaps says. With `preview`, only look."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    preview: bool = False


class OfZap(msgspec.Struct, frozen=True):
    """How many runs of a zap, by status."""

    zap_id: UUID
    runs: dict[str, int]


class ErasurePreview(msgspec.Struct, frozen=True):
    """What an erasure would find in the log now; what came of these runs goes with them.

    `bytes`: of payload. `under_way`: those that have not ended, which an erasure leaves. `more`: counting has stopped.
    Archives, and requests that became no run, are not looked through yet.
    """

    runs: int
    under_way: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None
    zaps: list[OfZap]
    more: bool


class ErasureController(Controller):
    """Forgets what runs carried of somebody."""

    path = "/erasures"
    tags = ("History",)

    @command(
        "/", "eraseSubject", "Forget a person", "limit_reached",
        status_code=202, headers=("Location",), answer=JobListItem, statuses={200: ErasurePreview},
    )  # fmt: skip
    async def erase(
        self, data: JSONBody[ErasureRequest], request: AuthedRequest, jobs: Injected[Jobs]
    ) -> Response[ErasurePreview | JobListItem]:
        """Makes a job that forgets the payloads of all runs that carry the data of one person, also in archives.

        What came of these runs goes with them: items of loops, runs that they called, replays. So do requests that were
        held or refused, and became no run. Runs that have not
        ended count as failed: cancel them, then ask again. Only zaps with `settings.subject` are looked at. It cannot
        be taken back. The job keeps a keyed hash, and not the subject.
        """
        user = request.user
        if data.preview:
            counts, size = await jobs.count_subject(user.tenant_id, data.subject)
            return Response(_preview(counts, size), status_code=200)
        made = await jobs.erase_subject(user.tenant_id, data.subject, user.metadata)
        return Response(list_item(made), headers={"location": f"/api/v1/jobs/{made.id}"})


def _preview(counts: list[SubjectCount], size: int) -> ErasurePreview:
    zaps: dict[UUID, dict[str, int]] = {}
    for count in counts:
        zaps.setdefault(count.zap_id, {})[count.status] = count.runs
    runs = sum(count.runs for count in counts)
    return ErasurePreview(
        runs=runs,
        under_way=sum(count.runs for count in counts if count.status in STATUSES["cancel"]),
        bytes=size,
        oldest=min((count.oldest for count in counts), default=None),
        newest=max((count.newest for count in counts), default=None),
        zaps=[OfZap(zap_id, of_zap) for zap_id, of_zap in zaps.items()],
        more=runs >= MAX_COUNT,
    )
