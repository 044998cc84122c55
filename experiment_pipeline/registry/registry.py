"""The registry: the control state in one database, as one small store per noun.

Each method of a store is one transaction: all of it happens, or nothing. A store on a connection instead of an engine
joins the transaction that has begun there: so one store's change is made of others' (`manifests`, `attachments`).
Changes name their `actor` and `now`, the moment of the change in UTC, for the audit log (rule L5).
"""

from typing import Self

import structlog
from sqlalchemy import Engine

from experiment_pipeline.errors import RegistryUnavailable
from experiment_pipeline.registry.attachments import Attachments
from experiment_pipeline.registry.audit import AuditLog
from experiment_pipeline.registry.batches import Batches
from experiment_pipeline.registry.claims import Claims
from experiment_pipeline.registry.computations import Computations
from experiment_pipeline.registry.data_versions import DataVersions
from experiment_pipeline.registry.dispatch import Dispatch
from experiment_pipeline.registry.engine import is_current, migrate, migrate_when_reached, open_engine
from experiment_pipeline.registry.environments import Environments
from experiment_pipeline.registry.erasures import Erasures
from experiment_pipeline.registry.experiments import Experiments
from experiment_pipeline.registry.health import Health
from experiment_pipeline.registry.installation import Installations
from experiment_pipeline.registry.keys import Keys
from experiment_pipeline.registry.live_stats import LiveStats
from experiment_pipeline.registry.looks import Looks
from experiment_pipeline.registry.manifests import Manifests
from experiment_pipeline.registry.measurements import Measurements
from experiment_pipeline.registry.metrics import Metrics
from experiment_pipeline.registry.notification_targets import NotificationTargets
from experiment_pipeline.registry.notifications import Notifications
from experiment_pipeline.registry.planned_looks import StoredPlannedLooks
from experiment_pipeline.registry.refresh_costs import RefreshCosts
from experiment_pipeline.registry.repairs import Repairs
from experiment_pipeline.registry.results_sql import ResultsSql
from experiment_pipeline.registry.retentions import Retentions
from experiment_pipeline.registry.runs import Runs
from experiment_pipeline.registry.source_ranges import SourceRanges
from experiment_pipeline.registry.sources import Connections, Sources
from experiment_pipeline.registry.table_outbox import TableOutbox
from experiment_pipeline.registry.wait_limits import WaitLimits
from experiment_pipeline.registry.warehouses import Warehouses

log = structlog.get_logger(__name__)


class Registry:
    """The stores of one database. Safe to share between threads.

    Besides what it says itself, every method of a store raises RegistryUnavailable where the database does not answer,
    or takes no changes, for now.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.environments = Environments(engine)
        self.metrics = Metrics(engine)
        self.measurements = Measurements(engine)
        self.experiments = Experiments(engine)
        self.attachments = Attachments(engine)
        self.manifests = Manifests(engine)
        self.computations = Computations(engine)
        self.results_sql = ResultsSql(engine)
        self.refresh_costs = RefreshCosts(engine)
        self.live_stats = LiveStats(engine)
        self.looks = Looks(engine)
        self.planned_looks = StoredPlannedLooks(engine)
        self.health = Health(engine)
        self.table_outbox = TableOutbox(engine)
        self.claims = Claims(engine)
        self.runs = Runs(engine)
        self.dispatch = Dispatch(engine)
        self.connections = Connections(engine)
        self.warehouses = Warehouses(engine)
        self.sources = Sources(engine)
        self.source_ranges = SourceRanges(engine)
        self.notification_targets = NotificationTargets(engine)
        self.notifications = Notifications(engine)
        self.batches = Batches(engine)
        self.data_versions = DataVersions(engine)
        self.repairs = Repairs(engine)
        self.erasures = Erasures(engine)
        self.retentions = Retentions(engine)
        self.installation = Installations(engine)
        self.keys = Keys(engine)
        self.audit = AuditLog(engine)

    @classmethod
    def open(cls, url: str, limits: WaitLimits | None = None, *, may_be_away: bool = False) -> Self:
        """Open the registry at a SQLAlchemy URL, and bring its schema up to date.

        Args:
            limits: how long a call waits for the database; by default, as long as runs and commands do.
            may_be_away: open it even if its database does not answer now; the first call that reaches it brings the
                schema up to date then.

        Raises:
            ConfigurationError: the text is not a URL, its database is neither SQLite nor PostgreSQL, or its encoding
                is not UTF-8.
            Conflict: the database holds an unfinished copy of a registry (`registry.copying`).
            RegistryUnavailable: the database does not answer, and may not be away.
        """
        engine = open_engine(url, limits)
        try:
            migrate(engine)
        except RegistryUnavailable as away:
            if not may_be_away:
                engine.dispose()
                raise
            log.warning("registry.unavailable", reason=str(away))
            migrate_when_reached(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        """Close the connections to the database."""
        self.engine.dispose()

    def is_current(self) -> bool:
        """Return whether the database answers and has the schema that this code needs."""
        return is_current(self.engine)
