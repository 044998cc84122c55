"""Aggregates of metrics where events lie: the statements, one after the other, and the rows that they become (N1)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from experiment_pipeline.domain.aggregates import Group, Part, QuantileEstimate
from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.measures import Events
from experiment_pipeline.domain.metrics import Funnel, Metric, Quantile
from experiment_pipeline.warehouse.duckdb.metric_values import Clipping
from experiment_pipeline.warehouse.duckdb.moments import ArmMoments
from experiment_pipeline.warehouse.frame_schemas import COLUMNS, COUNTS
from experiment_pipeline.warehouse.ibis.breakdown import EVERYBODY, Breakdown, largest_values
from experiment_pipeline.warehouse.ibis.first_exposures import analysed_identities
from experiment_pipeline.warehouse.ibis.funnels import counted_steps, reached_steps, step_moments
from experiment_pipeline.warehouse.ibis.measures import MetricColumns, identity_values
from experiment_pipeline.warehouse.ibis.moments import arm_moments, clippings, moments
from experiment_pipeline.warehouse.ibis.percentiles import bounded
from experiment_pipeline.warehouse.ibis.quantiles import (
    Arm,
    QuantilesOfIdentities,
    event_moments,
    event_numbers,
    events_below,
    found_at_ranks,
    ranks_of_events,
    values_at_ranks,
)

Row: TypeAlias = Mapping[str, Any]
Ask: TypeAlias = Callable[[str, Any], Sequence[Mapping[str, Any]]]  # what a statement is for, and its expression
Bounds: TypeAlias = tuple[Clipping, Clipping]
Arms: TypeAlias = dict[Arm, Mapping[str, Any]]  # a row of each variant and part
ROW_KEY = ("metric_id", "part", "name", "value", "is_other", "variant")
UNBOUNDED = Clipping()


class Aggregation:
    """The aggregation of some metrics over the analysed identities of a scope.

    Args:
        ask: runs a statement; one that returns no rows makes all statements known without running any.
        scope: of the analysis.
        metrics: all of them computed in place.
        unique_rows: whether each event is declared to have one row (rule N2).
    """

    def __init__(self, ask: Ask, scope: AnalysisScope, metrics: Sequence[Metric], *, unique_rows: bool = False) -> None:
        self._ask, self._scope, self._unique_rows = ask, scope, unique_rows
        self._metrics = sorted(metrics, key=lambda each: each.id)
        self._arms: Arms = {}
        self._breakdown = Breakdown(scope.audience)

    def rows(self) -> list[Row]:
        """Return a row per metric, part and variant, as `variant_aggregates` has them; none without metrics."""
        if not self._metrics:
            return []
        people = compared_identities(self._scope)
        if self._scope.audience.dimensions:
            rows = self._ask("dimensions", largest_values(people, self._scope.audience))
            self._breakdown = Breakdown.of(self._scope.audience, rows)
        people = self._breakdown.coded(people)
        counted = self._breakdown.by_arm(people)
        self._arms = by_arm(self._ask("identities", mature_identities(self._scope, self._metrics, counted, self._keys)))
        made: list[Row] = [
            *self._rows_of_measures(people),
            *self._rows_of_funnels(people),
            *self._rows_of_events(people),
        ]
        return sorted(made, key=lambda row: tuple((row[name] is not None, row[name]) for name in ROW_KEY))

    @property
    def _keys(self) -> tuple[str, ...]:
        return self._breakdown.arms

    @property
    def _variants(self) -> list[str]:
        return sorted({variant for variant, _ in self._arms})

    def _parts(self) -> Iterator[tuple[int, Group | None]]:
        """Yield the parts that anybody is in."""
        with_people = {part for _, part in self._arms}
        yield from (each for each in self._breakdown.groups if each[0] in with_people)

    def _each_arm(self) -> Iterator[tuple[Arm, Group | None]]:
        for part, group in self._parts():
            yield from (((variant, part), group) for variant in self._variants)

    def _people(self, metric: Metric, arm: Arm) -> tuple[int, int]:
        """Return the identities of an arm, and those whose window has ended."""
        found = self._arms.get(arm)
        return (0, 0) if found is None else (int(found["n"]), int(found[MetricColumns(metric).of("mature")]))

    def _mature(self, metric: Metric) -> int:
        """Return the identities of the compared variants whose window has ended."""
        return sum(self._people(metric, (variant, EVERYBODY))[1] for variant in self._variants)

    def _rows_of_measures(self, people: Any) -> Iterator[Row]:
        metrics = [metric for metric in self._metrics if metric.measures]
        if not metrics:
            return
        values = identity_values(self._scope, metrics, people, unique_rows=self._unique_rows)
        values = bounded(values, metrics, {metric.id: self._mature(metric) for metric in metrics})
        found = self._ask("moments", moments(self._breakdown.by_arm(values), metrics, self._keys))
        of_arms, quantiles = by_arm(found), QuantilesOfIdentities()
        rows: list[tuple[Metric, Group | None, Arm, ArmMoments, Bounds]] = []
        for metric in metrics:
            bounds = clippings(metric, found, self._mature(metric))
            for arm, group in self._each_arm():
                of_arm = arm_moments(of_arms.get(arm), metric, bounds, *self._people(metric, arm))
                quantiles.add(metric, arm, of_arm.y.n)
                rows.append((metric, group, arm, of_arm, bounds))
        estimates = quantiles.estimates(self._values_at_ranks(quantiles, people), {row[0].id: row[4] for row in rows})
        for metric, group, arm, of_arm, bounds in rows:
            yield _row(metric, group, arm, of_arm, bounds, estimate=estimates.get((metric.id, arm)))

    def _values_at_ranks(self, quantiles: QuantilesOfIdentities, people: Any) -> Sequence[Mapping[str, Any]]:
        """Return the values that quantiles of identities and their intervals are; they are known by rank alone."""
        if not quantiles.metrics:
            return []
        values = identity_values(self._scope, quantiles.metrics, people, unique_rows=self._unique_rows)
        found = values_at_ranks(self._breakdown.by_arm(values), quantiles.columns, self._keys)
        return self._ask("order statistics", found)

    def _rows_of_funnels(self, people: Any) -> Iterator[Row]:
        for metric in self._metrics:
            if isinstance(funnel := metric.statistic, Funnel):
                steps = reached_steps(self._scope, metric, funnel, people, unique_rows=self._unique_rows)
                reached = counted_steps(self._breakdown.by_arm(steps), funnel, self._keys)
                found = by_arm(self._ask(f"funnel {metric.id}", reached))
                for arm, group in self._each_arm():
                    parts = [(len(funnel.steps), group)]
                    if group is None:
                        parts += [(step, Group(Part.STEP, str(step))) for step in range(1, len(funnel.steps) + 1)]
                    for step, part in parts:
                        of_step = step_moments(found.get(arm), step, *self._people(metric, arm))
                        yield _row(metric, part, arm, of_step)

    def _rows_of_events(self, people: Any) -> Iterator[Row]:
        for metric in self._metrics:
            if isinstance(quantile := metric.statistic, Quantile) and isinstance(quantile.of, Events):
                own = event_numbers(self._scope, metric, quantile.of, people, unique_rows=self._unique_rows)
                numbers = self._breakdown.by_arm(own)
                found = by_arm(self._ask(f"events {metric.id}", events_below(numbers, quantile.q, self._keys)))
                of_arms = {arm: ranks_of_events(quantile.q, row) for arm, row in found.items()}
                ranks = {arm: each for arm, each in of_arms.items() if each is not None}
                rows = self._ask(
                    f"order statistics of events {metric.id}", values_at_ranks(numbers, {"number": ranks}, self._keys)
                )
                at_ranks = found_at_ranks(rows, "number", ranks)
                for arm, group in self._each_arm():
                    of_arm = event_moments(found.get(arm), *self._people(metric, arm))
                    estimate = ranks[arm].estimate(at_ranks[arm], of_arm.y.n, UNBOUNDED) if arm in ranks else None
                    yield _row(metric, group, arm, of_arm, estimate=estimate)


def by_arm(rows: Sequence[Mapping[str, Any]]) -> Arms:
    """Return the rows of a statement by variant and part."""
    return {(str(row["variant"]), int(row.get("part") or EVERYBODY)): row for row in rows}


def compared_identities(scope: AnalysisScope) -> Any:
    """Return the analysed identities of the variants that are compared."""
    people = analysed_identities(scope)
    return people if scope.variants is None else people.filter(people.variant.isin(sorted(scope.variants)))


def mature_identities(scope: AnalysisScope, metrics: Sequence[Metric], people: Any, arms: Sequence[str]) -> Any:
    """Return `n` and the identities whose window has ended, `mature_<metric id>`, of every arm."""
    as_of_ms = round(scope.window.as_of.timestamp() * 1000)
    found: dict[str, Any] = {}
    for metric in metrics:
        columns = MetricColumns(metric)
        after = columns.mature_after_ms
        is_mature = people.count() if after is None else (people.first_ms + after <= as_of_ms).sum()
        found[columns.of("mature")] = is_mature
    return people.group_by(*arms).agg(n=people.count(), **found)


def _row(
    metric: Metric,
    group: Group | None,
    arm: Arm,
    moments: ArmMoments,
    bounds: Bounds = (UNBOUNDED, UNBOUNDED),
    *,
    estimate: QuantileEstimate | None = None,
) -> Row:
    (of_y, of_x), y, x = bounds, moments.y, moments.x
    nothing = {name: 0 if name in COUNTS else None for name in COLUMNS["variant_aggregates"]}
    limits = {"cap": of_y.cap, "floor": of_y.floor, "cap_x": of_x.cap, "floor_x": of_x.floor}
    counts = {name: getattr(moments.counts, name) for name in moments.counts.__dataclass_fields__}
    return {**nothing, **limits, **counts} | {
        "metric_id": metric.id,
        "part": group and group.part.value,
        "name": group and group.name,
        "value": group and group.value,
        "is_other": group is not None and group.is_other,
        "variant": arm[0],
        "n": y.n,
        "mean": y.mean,
        "m2": y.m2,
        "largest": moments.largest,
        "mean_x": x and x.mean,
        "m2_x": x and x.m2,
        "c_xy": moments.c_xy,
        "quantile": estimate and estimate.value,
        "quantile_low": estimate and estimate.low,
        "quantile_high": estimate and estimate.high,
    }
