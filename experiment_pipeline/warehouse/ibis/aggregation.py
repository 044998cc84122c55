"""Aggregates of metrics where events lie: the statements, one after the other, and the rows that they become (N1)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.warehouse.duckdb.metric_values import Clipping
from experiment_pipeline.warehouse.duckdb.moments import ArmMoments
from experiment_pipeline.warehouse.frame_schemas import COLUMNS, COUNTS
from experiment_pipeline.warehouse.ibis.first_exposures import analysed_identities
from experiment_pipeline.warehouse.ibis.measures import MetricColumns, identity_values
from experiment_pipeline.warehouse.ibis.moments import arm_moments, clippings, moments
from experiment_pipeline.warehouse.ibis.percentiles import bounded

Row: TypeAlias = dict[str, Any]
Ask: TypeAlias = Callable[[str, Any], Sequence[Mapping[str, Any]]]  # what a statement is for, and its expression
ARMS = ("variant",)


class Aggregation:
    """The aggregation of some metrics over the analysed identities of a scope.

    Args:
        ask: runs a statement; one that returns no rows makes all statements known without running any.
        scope: of the analysis.
        metrics: all of them computed in place.
    """

    def __init__(self, ask: Ask, scope: AnalysisScope, metrics: Sequence[Metric]) -> None:
        self._ask, self._scope = ask, scope
        self._metrics = sorted(metrics, key=lambda each: each.id)
        self._people: Sequence[Mapping[str, Any]] = ()

    def rows(self) -> list[Row]:
        """Return a row per metric and variant, as `variant_aggregates` has them; none without metrics."""
        if not self._metrics:
            return []
        self._people = sorted(
            self._ask("identities", mature_identities(self._scope, self._metrics)), key=lambda row: str(row["variant"])
        )
        return list(self._rows_of_measures())

    def _mature(self, metric: Metric) -> int:
        """Return the identities of the compared variants whose window has ended."""
        return sum(int(arm[MetricColumns(metric).of("mature")]) for arm in self._people)

    def _rows_of_measures(self) -> Iterator[Row]:
        metrics = [metric for metric in self._metrics if metric.measures]
        if not metrics:
            return
        values = identity_values(self._scope, metrics, compared_identities(self._scope))
        values = bounded(values, metrics, {metric.id: self._mature(metric) for metric in metrics})
        found = self._ask("moments", moments(values, metrics, ARMS))
        of_arm = {row["variant"]: row for row in found}
        for metric in metrics:
            bounds = clippings(metric, found, self._mature(metric))
            for arm in self._people:
                people, mature = int(arm["n"]), int(arm[MetricColumns(metric).of("mature")])
                of_metric = arm_moments(of_arm.get(arm["variant"]), metric, bounds, people, mature)
                yield _row(metric, arm["variant"], of_metric, bounds)


def compared_identities(scope: AnalysisScope) -> Any:
    """Return the analysed identities of the variants that are compared."""
    people = analysed_identities(scope)
    return people if scope.variants is None else people.filter(people.variant.isin(sorted(scope.variants)))


def mature_identities(scope: AnalysisScope, metrics: Sequence[Metric]) -> Any:
    """Return `variant`, `n` and the identities whose window has ended, `mature_<metric id>`, of every arm."""
    people, as_of_ms = compared_identities(scope), round(scope.window.as_of.timestamp() * 1000)
    found: dict[str, Any] = {}
    for metric in metrics:
        columns = MetricColumns(metric)
        after = columns.mature_after_ms
        is_mature = people.count() if after is None else (people.first_ms + after <= as_of_ms).sum()
        found[columns.of("mature")] = is_mature
    return people.group_by(*ARMS).agg(n=people.count(), **found)


def _row(metric: Metric, variant: str, moments: ArmMoments, bounds: tuple[Clipping, Clipping]) -> Row:
    (of_y, of_x), y, x = bounds, moments.y, moments.x
    nothing = {name: 0 if name in COUNTS else None for name in COLUMNS["variant_aggregates"]}
    limits = {"cap": of_y.cap, "floor": of_y.floor, "cap_x": of_x.cap, "floor_x": of_x.floor}
    counts = {name: getattr(moments.counts, name) for name in moments.counts.__dataclass_fields__}
    return {**nothing, **limits, **counts} | {
        "metric_id": metric.id,
        "is_other": False,
        "variant": variant,
        "n": y.n,
        "mean": y.mean,
        "m2": y.m2,
        "largest": moments.largest,
        "mean_x": x and x.mean,
        "m2_x": x and x.m2,
        "c_xy": moments.c_xy,
    }
