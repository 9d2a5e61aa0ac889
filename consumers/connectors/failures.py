"""Failures: start a run when runs of other zaps fail."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from domain.connector.descriptor import Connector, TriggerDescriptor
from domain.zap.settings import MAX_TAGS, Tag


class Failures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failures start a run."""

    zap_ids: Annotated[
        tuple[UUID, ...],
        Meta(title="Zaps", description="Failures of these zaps; without it, of every other one", max_length=100),
    ] = ()
    tags: Annotated[
        tuple[Tag, ...],
        Meta(title="Tags", description="Only failures of zaps that have one of these tags", max_length=MAX_TAGS),
    ] = ()


CONNECTOR = Connector(
    triggers=(
        TriggerDescriptor(
            type="zap.failed",
            name="A run has failed",
            description="Starts a run for each run of another zap that failed or timed out. trigger.body says which.",
            icon="alert-triangle",
            config=Failures,
            example={
                "method": "",
                "path": "",
                "query": {},
                "query_string": "",
                "headers": {"content-type": "application/json"},
                "body": {
                    "zap": {"id": "0199c0de-0002-7abc-8def-0123456789ab", "name": "Orders", "tags": ["billing"]},
                    "run": {
                        "id": "0199c0de-0003-7abc-8def-0123456789ab",
                        "url": "https://hub.example.org/api/v1/runs/…",
                    },
                    "error": {"step_id": "notify", "code": "http_500", "message": "the target answered 500"},
                    "at": "2026-11-25T10:00:00Z",
                },
            },
        ),
    )
)
