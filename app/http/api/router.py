"""The routes of the API, and what is said of all of them."""

from litestar import Router
from litestar.types import Guard, Middleware

from app.http.api.api_keys import ApiKeyController
from app.http.api.approvals import ApprovalController
from app.http.api.audit import AuditController
from app.http.api.audit_export import AuditExportController
from app.http.api.auth import AuthController, MeController
from app.http.api.backtests import BacktestController, BacktestResultController
from app.http.api.catalog import CatalogController
from app.http.api.connections import ConnectionController
from app.http.api.connectors import ConnectorController
from app.http.api.dead_letters import DeadLetterController, HealthController
from app.http.api.draft_tests import DraftTestController
from app.http.api.erasures import ErasureController
from app.http.api.files import FileController
from app.http.api.history import HistoryController
from app.http.api.hooks import HookController
from app.http.api.jobs import BulkController, HeldController, JobController
from app.http.api.live import LiveController
from app.http.api.mail_addresses import MailAddressController
from app.http.api.proofs import ProofController
from app.http.api.registrations import RegistrationController
from app.http.api.retention import ArchiveController, RetentionController
from app.http.api.run_commands import RunCommandController
from app.http.api.run_items import RunItemController
from app.http.api.run_paths import RunPathController
from app.http.api.runs import RunController
from app.http.api.sessions import SessionController
from app.http.api.stats import StatsController
from app.http.api.system import SystemController
from app.http.api.templates import TemplateController
from app.http.api.triggers import TriggerController
from app.http.api.variables import VariableController
from app.http.api.zaps import ZapController
from app.http.inputs import AsOf, Moment
from app.http.requests import StrictRequest, check


def api(private_guard: Guard, keeps_answers: Middleware) -> Router:
    """All routes of the API: those behind the guard, and those that lead to credentials."""
    private = Router(
        "/",
        route_handlers=[
            MeController,
            ApiKeyController,
            CatalogController,
            ConnectorController,
            ZapController,
            DraftTestController,
            BacktestController,
            BacktestResultController,
            HookController,
            RegistrationController,
            ConnectionController,
            VariableController,
            RunController,
            AuditController,
            AuditExportController,
            HistoryController,
            RunCommandController,
            ApprovalController,
            RunItemController,
            RunPathController,
            StatsController,
            BulkController,
            HeldController,
            JobController,
            DeadLetterController,
            TemplateController,
            TriggerController,
            HealthController,
            MailAddressController,
            LiveController,
            ProofController,
            ErasureController,
            RetentionController,
            ArchiveController,
            SystemController,
            FileController,
        ],
        guards=[private_guard],
        middleware=[keeps_answers],
    )
    public = Router("/", route_handlers=[AuthController, SessionController])
    return Router(
        "/api/v1",
        route_handlers=[private, public],
        request_class=StrictRequest,
        type_decoders=[(_decodes_itself, _decode)],
        before_request=check,
    )


def _decodes_itself(wanted: object) -> bool:
    return wanted in (Moment, AsOf)


def _decode(wanted: type[Moment] | type[AsOf], text: str) -> Moment | AsOf:
    return wanted.decode(text)
