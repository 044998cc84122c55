"""Measurements of metrics: level and spread, as previews and refreshes found them, for planning experiments."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.domain.definitions import canonical_text, definition_of
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.metric_measurement import MeasuredStatistic, MeasurementSource, MetricMeasurement
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.tables import metric_measurements


@dataclass(frozen=True, slots=True)
class Measurements:
    """Store of the measurements: of each metric the newest of each source and each phase of an experiment."""

    database: Database

    def store(self, *measurements: MetricMeasurement) -> None:
        """Store measurements; each replaces the earlier one of its metric, source, experiment and phase."""
        with writing(self.database) as connection:
            for each in measurements:
                _replace(connection, each)

    def list(self, metric: Metric) -> list[MetricMeasurement]:
        """Return the measurements of a metric as it is defined now, the newest first."""
        defined = canonical_text(definition_of(metric))
        statement = (
            select(metric_measurements)
            .where(is_id(metric_measurements.c.metric_id, metric.id))
            .order_by(metric_measurements.c.measured_at.desc(), metric_measurements.c.id.desc())
        )
        with reading(self.database) as connection:
            found = [_decoded(row) for row in connection.execute(statement).mappings()]
        return [each for each in found if canonical_text(each.definition) == defined]


def _replace(connection: Connection, measured: MetricMeasurement) -> None:
    columns = metric_measurements.c
    connection.execute(
        delete(metric_measurements).where(
            columns.metric_id == measured.metric_id,
            columns.source == measured.source.value,
            columns.experiment_id.is_not_distinct_from(measured.experiment_id),
            columns.phase == measured.phase,
        )
    )
    connection.execute(
        insert(metric_measurements).values(
            metric_id=measured.metric_id,
            experiment_id=measured.experiment_id,
            phase=measured.phase,
            source=measured.source.value,
            measured_at=measured.measured_at,
            started_at=measured.window.started_at,
            as_of=measured.window.as_of,
            data_version=measured.data_version,
            identities=measured.identities,
            definition=measured.definition,
            statistic=asdict(measured.statistic),
            uncapped=None if measured.uncapped is None else asdict(measured.uncapped),
            cap=measured.cap,
            floor=measured.floor,
            share_in_metric=measured.share_in_metric,
        )
    )


def _decoded(row: RowMapping) -> MetricMeasurement:
    return MetricMeasurement(
        metric_id=row["metric_id"],
        definition=row["definition"],
        source=MeasurementSource(row["source"]),
        measured_at=row["measured_at"],
        window=Window(row["started_at"], row["as_of"]),
        data_version=row["data_version"],
        identities=row["identities"],
        statistic=_statistic(row["statistic"]),
        uncapped=None if row["uncapped"] is None else _statistic(row["uncapped"]),
        cap=row["cap"],
        floor=row["floor"],
        experiment_id=row["experiment_id"],
        phase=row["phase"],
        share_in_metric=row["share_in_metric"],
    )


def _statistic(stored: Mapping[str, Any]) -> MeasuredStatistic:
    joint = stored["pre_period"]
    return MeasuredStatistic(VariantAggregate(**stored["aggregate"]), None if joint is None else PairAggregate(**joint))
