"""Quantiles where events lie: order statistics by row number, as Ibis expressions (rule M12)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import or_
from typing import Any, TypeAlias

import ibis

from experiment_pipeline.domain.aggregates import QuantileEstimate
from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.events import MILLISECOND
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Metric, Quantile
from experiment_pipeline.stats.quantile import interval_ranks
from experiment_pipeline.warehouse.duckdb.metric_values import Clipping
from experiment_pipeline.warehouse.duckdb.moments import ArmMoments, Counts, Moments
from experiment_pipeline.warehouse.duckdb.order_statistics import nearest_rank
from experiment_pipeline.warehouse.ibis.breakdown import EVERYBODY
from experiment_pipeline.warehouse.ibis.chosen_events import ChosenEvents
from experiment_pipeline.warehouse.ibis.measures import Counted, MetricColumns, counts, joined_events, one

Arm: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Ranks:
    """The order statistics of one arm that a quantile and its interval are.

    Attributes:
        n: values, zeros without a row among them.
        quantile: the rank of the quantile, from 1 on.
        low: of the lower end of its interval; None where it lies beyond; `high` likewise.
    """

    n: int
    quantile: int
    low: int | None
    high: int | None

    @classmethod
    def of(cls, q: float, n: int, share_error: float) -> "Ranks":
        """Return the ranks of a quantile of n values, 1 or more."""
        low, high = interval_ranks(q, n, share_error) if math.isfinite(share_error) else (None, None)
        return cls(n, nearest_rank(q, n), low, high)

    @property
    def wanted(self) -> list[int]:
        """All of them, each once."""
        return sorted({rank for rank in (self.quantile, self.low, self.high) if rank is not None})

    def estimate(self, values: Mapping[int, float], n: int, bounds: Clipping) -> QuantileEstimate:
        """Return the quantile, of the values at the ranks that are not 0, within bounds."""

        def at(rank: int) -> float:
            value = values.get(rank, 0.0)
            value = value if bounds.floor is None else max(value, bounds.floor)
            return value if bounds.cap is None else min(value, bounds.cap)

        low, high = (None if rank is None else at(rank) for rank in (self.low, self.high))
        return QuantileEstimate(n, at(self.quantile), low, high)


class QuantilesOfIdentities:
    """The quantiles of identities among some metrics, with the ranks that each needs in every arm."""

    def __init__(self) -> None:
        self._ranks: dict[Metric, dict[Arm, Ranks]] = {}

    def add(self, metric: Metric, arm: Arm, n: int) -> None:
        """Take in an arm, if the metric is a quantile of identities.

        Args:
            metric: of measures.
            arm: of its identities.
            n: its values, those of identities without an event among them.
        """
        if isinstance(metric.statistic, Quantile):
            of_metric, q = self._ranks.setdefault(metric, {}), metric.statistic.q
            if n:
                of_metric[arm] = Ranks.of(q, n, math.sqrt(q * (1 - q) / n))

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that are quantiles."""
        return list(self._ranks)

    @property
    def columns(self) -> dict[str, dict[Arm, Ranks]]:
        """The columns of `identity_values` that they are of."""
        return {MetricColumns(metric).of("y"): of_arms for metric, of_arms in self._ranks.items()}

    def estimates(
        self, rows: Sequence[Mapping[str, Any]], bounds: Mapping[int, tuple[Clipping, Clipping]]
    ) -> dict[tuple[int, Arm], QuantileEstimate]:
        """Return the quantile of each metric and arm.

        Args:
            rows: of `values_at_ranks`.
            bounds: of every metric.
        """
        found: dict[tuple[int, Arm], QuantileEstimate] = {}
        for metric, ranks in self._ranks.items():
            at_ranks = found_at_ranks(rows, MetricColumns(metric).of("y"), ranks)
            for arm, of_arm in ranks.items():
                found[metric.id, arm] = of_arm.estimate(at_ranks[arm], of_arm.n, bounds[metric.id][0])
        return found


def values_at_ranks(values: Any, columns: Mapping[str, Mapping[Arm, Ranks]], arms: Sequence[str]) -> Any:
    """Return the rows whose value is at a wanted rank in any column, or in another arm: the arm, values and places.

    Negative values are counted from the smallest one on, and positive ones from the largest one: so zeros without a
    row, which lie between them, move no place.

    Args:
        values: rows with an arm each.
        columns: of values, null where there is none, with the ranks that are wanted in each arm.
        arms: the columns that tell the arm.
    """
    places = {f"place_{name}": _place(values, name, arms) for name in columns}
    places |= {f"back_{name}": _place(values, name, arms, from_largest=True) for name in columns}
    ranked = values.mutate(**places)
    is_wanted = [_is_at_place(ranked, name, of_arms.values()) for name, of_arms in columns.items() if of_arms]
    found = ranked.filter(reduce(or_, is_wanted) if is_wanted else ibis.literal(False))
    return found.select(*arms, *columns, *places)


def found_at_ranks(
    rows: Iterable[Mapping[str, Any]], name: str, ranks: Mapping[Arm, Ranks]
) -> dict[Arm, dict[int, float]]:
    """Return the values of one column by arm and rank, of the rows of `values_at_ranks`; those that are 0 may lack."""
    found: dict[Arm, dict[int, float]] = {arm: {} for arm in ranks}
    for row in rows:
        arm = (str(row["variant"]), int(row.get("part") or EVERYBODY))
        if arm in ranks and row[name] is not None:
            value, place, back = float(row[name]), int(row[f"place_{name}"]), int(row[f"back_{name}"])
            found[arm][place if value < 0 else ranks[arm].n + 1 - back] = value
    return found


def event_numbers(
    scope: AnalysisScope, metric: Metric, events: Events, people: Any, *, unique_rows: bool = False
) -> Any:
    """Return the counted events of identities whose window has ended, with `number`, null where it is none."""
    chosen = ChosenEvents([events], unique_rows=unique_rows)
    joined = joined_events(scope, [metric], people, chosen)
    window = events.window
    end = None if window.end is None else window.end // MILLISECOND
    counted = Counted(Measure(events, Aggregation.COUNT), window.start // MILLISECOND, end)
    found = joined.filter(counts(joined, counted, chosen))
    after = MetricColumns(metric).mature_after_ms
    if after is not None:
        found = found.filter(found.first_ms + after <= round(scope.window.as_of.timestamp() * 1000))
    kept = [name for name in people.columns if name != "first_ms"]
    return found.select(*kept, number=found.numeric_value)


def events_below(numbers: Any, q: float, arms: Sequence[str]) -> Any:
    """Return a row per arm with what the error of its quantile needs: sums over identities of their events (M12)."""
    of_arm, share = ibis.window(group_by=list(arms)), Fraction(str(q))
    is_number = numbers.number.notnull()
    ranked = numbers.mutate(place=_place(numbers, "number", arms), in_arm=one(is_number).sum().over(of_arm))
    is_it = (ranked.place * share.denominator >= ranked.in_arm * share.numerator) & (
        (ranked.place - 1) * share.denominator < ranked.in_arm * share.numerator
    )
    quantiles = (is_it & ranked.number.notnull()).ifelse(ranked.number, ibis.null("float64"))
    ranked = ranked.mutate(quantile=quantiles.max().over(of_arm))
    of_identities = ranked.group_by("identifier", *arms).agg(
        read=ranked.count(),
        events=one(ranked.number.notnull()).sum(),
        below=one(ranked.number <= ranked.quantile).sum(),
    )
    events, below = of_identities.events, of_identities.below
    return of_identities.group_by(*arms).agg(
        with_event=of_identities.count(),
        read=of_identities.read.sum(),
        identities=one(events > 0).sum(),
        events=events.sum(),
        below=below.sum(),
        below_below=(below * below).sum(),
        below_events=(below * events).sum(),
        events_events=(events * events).sum(),
        largest=events.max(),
    )


def ranks_of_events(q: float, row: Mapping[str, Any]) -> Ranks | None:
    """Return the ranks of the quantile of an arm's events, of a row of `events_below`; None without a number."""
    events, below, n = (int(row[name] or 0) for name in ("events", "below", "identities"))
    if not events:
        return None
    if n < 2:
        return Ranks.of(q, events, math.inf)
    squares = [int(row[name]) for name in ("below_below", "below_events", "events_events")]
    residual = events**2 * squares[0] - 2 * below * events * squares[1] + below**2 * squares[2]
    return Ranks.of(q, events, math.sqrt(residual * n / (n - 1)) / events**2)


def event_moments(row: Mapping[str, Any] | None, people: int, mature: int) -> ArmMoments:
    """Return the moments of an arm: the value of an identity is how many numbers its events have."""
    names = ("identities", "events", "events_events", "with_event", "read", "largest")
    n, events, squares, with_event, read, largest = (0 if row is None else int(row[name] or 0) for name in names)
    counts_of_arm = Counts(
        identities=mature,
        not_mature=people - mature,
        nonzero=n,
        with_value=n,
        with_event=with_event,
        values=read,
        invalid_values=read - events,
    )
    if not n:
        return ArmMoments(Moments(0, 0.0, 0.0), counts=counts_of_arm)
    moments = Moments(n, events / n, float(Fraction(squares) - Fraction(events * events, n)))
    return ArmMoments(moments, largest=float(largest), counts=counts_of_arm)


def _place(rows: Any, name: str, arms: Sequence[str], *, from_largest: bool = False) -> Any:
    """Return the place of each value in its arm, from 1 on, behind all of them where there is none."""
    order = [one(rows[name].isnull()), rows[name].desc() if from_largest else rows[name]]
    return ibis.row_number().over(ibis.window(group_by=list(arms), order_by=order)) + 1


def _is_at_place(rows: Any, name: str, ranks: Iterable[Ranks]) -> Any:
    """Return whether a value is at a place that is wanted in any arm; `found_at_ranks` takes those of its own arm."""
    wanted = [(rank, each.n + 1 - rank) for each in ranks for rank in each.wanted]
    places, backs = (sorted(set(found)) for found in zip(*wanted, strict=True))
    is_below = (rows[name] < 0) & rows[f"place_{name}"].isin(places)
    return is_below | ((rows[name] > 0) & rows[f"back_{name}"].isin(backs))
