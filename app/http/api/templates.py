"""Templates: /api/v1/templates."""

from uuid import UUID

import msgspec
from litestar import Controller
from litestar.params import JSONBody

from app.accounts.auth import AuthedRequest
from app.commands.previews import Previews, RenderedTemplate
from app.http.inputs import Injected, Input
from app.http.openapi.notes import command
from domain.flow.steps import UNSET, Unset
from domain.values.json import Json


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the template sees: a run of yours with all its steps, or a request with this JSON body."""

    run_id: UUID | Unset = UNSET
    payload: Json | Unset = UNSET

    def __post_init__(self) -> None:
        if (self.run_id is UNSET) == (self.payload is UNSET):
            raise ValueError("a sample has either run_id or payload")


class PreviewIn(Input, frozen=True):
    """A template, or an object or list with templates in it as in the config of a step, and a sample."""

    template: Json
    sample: Sample


class TemplateController(Controller):
    """Looks at templates before a zap uses them."""

    path = "/templates"
    tags = ("Templates",)

    @command("/preview", "previewTemplate", "Show what a template gives for a sample", "not_found")
    async def preview(
        self, request: AuthedRequest, previews: Injected[Previews], data: JSONBody[PreviewIn]
    ) -> RenderedTemplate:
        """Render a template as a step would, and list paths that there are in the sample.

        A template that cannot be rendered is no error of the request: `error` says why, with its place.
        """
        tenant_id, sample = request.user.tenant_id, data.sample
        if isinstance(sample.run_id, UUID):
            return await previews.of_run(tenant_id, data.template, sample.run_id)
        assert sample.payload is not UNSET
        return await previews.of_body(tenant_id, data.template, sample.payload)
