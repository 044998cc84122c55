"""Metrics in the registry (rules M1, L3, L4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.definition_rules import stored_definition
from experiment_pipeline.domain.definitions import Defined
from experiment_pipeline.domain.drafts import MetricDraft, check_metric, to_metric_draft, upgraded
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.lifecycle import check_metric_deletable, check_metric_revision, may_be_redefined
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import Direction, Metric, mean_of_version_1
from experiment_pipeline.errors import ConfigurationError, Conflict, NotFound
from experiment_pipeline.registry import audit, environments
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.tables import attachments, experiments, metrics

_audit = partial(audit.record_change, "metric")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The metrics that were upgraded to version 2, as they are now, and those that are frozen as they are."""

    upgraded: list[Metric] = field(default_factory=list)
    frozen: list[Metric] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Store of the metrics."""

    database: Database

    def list(
        self, environment_key: str | None = None, *, search: str = "", limit: int | None = None, offset: int = 0
    ) -> Sequence[Metric]:
        """Return the metrics of one environment or of all, newest first; `search` is a part of the name."""
        condition = _alive(environment_key, search)
        statement = select(metrics).where(condition).order_by(metrics.c.id.desc()).limit(limit).offset(offset)
        with reading(self.database) as connection:
            return [decode(row) for row in connection.execute(statement).mappings()]

    def count(self, environment_key: str | None = None, *, search: str = "") -> int:
        """Return how many metrics `list` would return without a limit."""
        statement = select(func.count()).select_from(metrics).where(_alive(environment_key, search))
        with reading(self.database) as connection:
            return connection.scalar(statement) or 0

    def find(self, environment_key: str, id_or_name: int | str) -> Metric:
        """Return one metric of one environment, by id or by name.

        Raises:
            NotFound: the environment has no such metric, or it is deleted.
        """
        with reading(self.database) as connection:
            return find(connection, environment_key, id_or_name)

    def create(self, environment_key: str, draft: MetricDraft, *, actor: str, now: datetime) -> Metric:
        """Declare a metric (rule M1).

        Raises:
            ConfigurationError: the draft breaks a rule; names the fields.
            NotFound: no environment has this key.
            Conflict: a metric of the environment has this name.
        """
        defined = check_metric(draft)
        with writing(self.database) as connection:
            environments.require(connection, environment_key)
            created = find(connection, environment_key, _insert(connection, environment_key, draft, defined, now))
            _audit(connection, "create", None, created, actor=actor, now=now)
        return created

    def change(
        self,
        environment_key: str,
        id_or_name: int | str,
        revise: Callable[[MetricDraft], MetricDraft],
        *,
        actor: str,
        now: datetime,
    ) -> Metric:
        """Change a metric as far as rule L3 lets.

        Args:
            environment_key: of the metric.
            id_or_name: of the metric.
            revise: turns the metric's present draft into the wanted one.
            actor: for the audit log.
            now: for the audit log.

        Raises:
            ConfigurationError: the wanted draft breaks a rule, or changes what is frozen; names the fields.
            NotFound: the environment has no such metric.
            Conflict: another metric of the environment has the wanted name.
        """
        with writing(self.database) as connection:
            before = _lock(connection, environment_key, id_or_name)
            draft = revise(to_metric_draft(before))
            defined = check_metric(draft)
            after = replace(
                before,
                name=draft.name,
                statistic=defined.statistic,
                direction=draft.direction,
                description=draft.description,
                maturity=defined.maturity,
                version=defined.version,
                unit=draft.unit,
            )
            if after == before:
                return before
            check_metric_revision(before, after, _statuses(connection, before.id))
            _update(connection, before.id, draft, defined, now)
            _audit(connection, "change", before, after, actor=actor, now=now)
        return after

    def upgrade(
        self, environment_key: str, id_or_name: int | str | None = None, *, actor: str, now: datetime, dry_run: bool
    ) -> Upgrade:
        """Declare metrics of version 1 as what measures the same in version 2; those that are frozen stay (rule L3).

        Args:
            environment_key: of the metrics.
            id_or_name: of one metric; None for every one of the environment.
            actor: for the audit log.
            now: for the audit log.
            dry_run: change nothing.

        Raises:
            ConfigurationError: a metric cannot be declared in version 2: its event has a name that is reserved there.
            NotFound: the environment has no such metric.
        """
        upgrade = Upgrade()
        with writing(self.database) as connection:
            store = Metrics(connection)
            found = store.list(environment_key) if id_or_name is None else [store.find(environment_key, id_or_name)]
            for metric in found:
                if metric.version != 1:
                    continue
                if not may_be_redefined(_statuses(connection, metric.id)):
                    upgrade.frozen.append(metric)
                    continue
                try:
                    changed = store.change(environment_key, metric.id, _to_version_2(metric), actor=actor, now=now)
                except ConfigurationError as invalid:
                    raise invalid.below(metric.name) from None
                upgrade.upgraded.append(changed)
            if dry_run:
                connection.rollback()
        return upgrade

    def delete(self, environment_key: str, id_or_name: int | str, *, actor: str, now: datetime) -> None:
        """Delete a metric softly: its row stays (rule L4).

        Raises:
            NotFound: the environment has no such metric.
            Conflict: it is attached to an experiment that is not completed.
        """
        with writing(self.database) as connection:
            before = _lock(connection, environment_key, id_or_name)
            check_metric_deletable(_statuses(connection, before.id))
            connection.execute(update(metrics).where(metrics.c.id == before.id).values(deleted_at=now))
            _audit(connection, "delete", before, None, actor=actor, now=now)


def find(connection: Connection, environment_key: str, id_or_name: int | str, *, keep: bool = False) -> Metric:
    """Return one metric by id or by name; `keep` delays its deletion until the transaction ends. Raises NotFound."""
    named = is_id(metrics.c.id, id_or_name) if isinstance(id_or_name, int) else metrics.c.name == id_or_name
    statement = select(metrics).where(_alive(environment_key), named)
    if keep:
        statement = statement.with_for_update(read=True)
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise NotFound(f"No metric '{id_or_name}' in environment '{environment_key}'.")
    return decode(row)


def decode(row: RowMapping) -> Metric:
    """Return the metric of a row of the table `metrics`, or of a join that holds its columns."""
    defined = _defined(row)
    return Metric(
        id=row["id"],
        environment_key=row["environment_key"],
        name=row["name"],
        statistic=defined.statistic,
        direction=Direction(row["direction"]),
        description=row["description"],
        maturity=defined.maturity,
        version=defined.version,
        unit=row["unit"],
    )


def _defined(row: RowMapping) -> Defined:
    definition, seconds = row["definition"], row["window_seconds"]
    if definition["version"] == 2:
        return stored_definition(definition)
    window = None if seconds is None else timedelta(seconds=seconds)
    return Defined(1, mean_of_version_1(definition["event"], Aggregation(row["aggregation"]), window))


def _alive(environment_key: str | None, search: str = "") -> ColumnElement[bool]:
    """Return the condition for metrics that are not deleted, of one environment or of all, by a part of their name."""
    conditions: list[ColumnElement[bool]] = [metrics.c.deleted_at.is_(None)]
    if environment_key is not None:
        conditions.append(metrics.c.environment_key == environment_key)
    if search:
        conditions.append(metrics.c.name.icontains(search, autoescape=True))
    return and_(*conditions)


def _insert(connection: Connection, environment_key: str, draft: MetricDraft, defined: Defined, now: datetime) -> int:
    values = {**_columns(draft, defined), "environment_key": environment_key, "created_at": now, "updated_at": now}
    try:
        with connection.begin_nested():
            new_id: int = connection.execute(insert(metrics).values(values).returning(metrics.c.id)).scalar_one()
    except IntegrityError:
        raise _name_taken(draft.name) from None
    return new_id


def _update(connection: Connection, metric_id: int, draft: MetricDraft, defined: Defined, now: datetime) -> None:
    values = {**_columns(draft, defined), "updated_at": now}
    try:
        with connection.begin_nested():
            connection.execute(update(metrics).where(metrics.c.id == metric_id).values(values))
    except IntegrityError:
        raise _name_taken(draft.name) from None


def _to_version_2(metric: Metric) -> Callable[[MetricDraft], MetricDraft]:
    return lambda _: upgraded(metric)


def _lock(connection: Connection, environment_key: str, id_or_name: int | str) -> Metric:
    """Keep a metric as it is until the transaction ends: attaching it meanwhile waits."""
    metric_id = find(connection, environment_key, id_or_name).id
    connection.execute(select(metrics.c.id).where(metrics.c.id == metric_id).with_for_update()).all()
    return find(connection, environment_key, metric_id)


def _statuses(connection: Connection, metric_id: int) -> set[ExperimentStatus]:
    """Return the statuses of the experiments that the metric is attached to."""
    rows = connection.scalars(
        select(experiments.c.status)
        .join(attachments, attachments.c.experiment_id == experiments.c.id)
        .where(attachments.c.metric_id == metric_id, experiments.c.deleted_at.is_(None))
        .distinct()
    )
    return {ExperimentStatus(status) for status in rows}


def _columns(draft: MetricDraft, defined: Defined) -> dict[str, Any]:
    return {
        "name": draft.name,
        "description": draft.description,
        "aggregation": None if draft.aggregation is None else draft.aggregation.value,
        "direction": draft.direction.value,
        "definition": defined.as_json,
        "window_seconds": None if draft.window is None else int(draft.window.total_seconds()),
        "unit": draft.unit,
    }


def _name_taken(name: str) -> Conflict:
    return Conflict(f"A metric named '{name}' already exists in this environment.")
