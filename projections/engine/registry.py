"""All projections with a table of their own. `run_detail` has none: it is folded when it is read."""

from projections.approvals import APPROVALS
from projections.audit import AUDIT
from projections.connection_uses import CONNECTION_USES
from projections.dead_letters import DEAD_LETTERS
from projections.gone_targets import GONE_TARGETS
from projections.job_list import JOB_LIST
from projections.recoveries import RECOVERIES
from projections.request_list import REQUEST_LIST
from projections.run_keys import RUN_KEYS
from projections.run_list import RUN_LIST
from projections.run_search import RUN_SEARCH
from projections.stats import STATS
from projections.tick_list import TICK_LIST
from projections.zap_health import ZAP_HEALTH
from projections.zap_list import ZAP_LIST

PROJECTIONS = (
    APPROVALS,
    AUDIT,
    CONNECTION_USES,
    DEAD_LETTERS,
    GONE_TARGETS,
    JOB_LIST,
    RECOVERIES,
    REQUEST_LIST,
    RUN_KEYS,
    RUN_LIST,
    STATS,
    TICK_LIST,
    ZAP_HEALTH,
    ZAP_LIST,
)
BY_THEMSELVES = (RUN_SEARCH,)
"""Those that follow the log in a process of their own, as one partition: they may lag, and hold nobody up."""
LIVE_FOLDS = frozenset({"run_detail"})
