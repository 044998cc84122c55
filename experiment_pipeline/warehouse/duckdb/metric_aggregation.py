"""Aggregation of metrics over all identities, range by range: moments, bounds and quantiles (rules M5, M10, M12).

Bounds that are percentiles and quantiles need the values of all identities at once: these are kept, on disk where there
are several ranges, and reduced after the last one.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.aggregates import UNCAPPED, Group, Part, QuantileEstimate
from experiment_pipeline.domain.field_types import FieldTypes, stored_types
from experiment_pipeline.domain.measures import Bound, Events, Measure
from experiment_pipeline.domain.metrics import Mean, Metric, Quantile, Ratio
from experiment_pipeline.results.self_check import checks_itself, count_calls
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.quantile import interval_ranks
from experiment_pipeline.warehouse.duckdb.event_numbers import ShareBelow
from experiment_pipeline.warehouse.duckdb.event_scan import ArmKey, ScannedRange
from experiment_pipeline.warehouse.duckdb.field_types import counts_of
from experiment_pipeline.warehouse.duckdb.halves import Halves
from experiment_pipeline.warehouse.duckdb.metric_values import Clipping, MetricValues, metric_values
from experiment_pipeline.warehouse.duckdb.moments import ArmMoments
from experiment_pipeline.warehouse.duckdb.order_statistics import nearest_rank, order_statistics
from experiment_pipeline.warehouse.duckdb.population import Integers
from experiment_pipeline.warehouse.duckdb.readings import MICROSECOND
from experiment_pipeline.warehouse.duckdb.slices import Slice

T = TypeVar("T", bound=np.generic)
Row: TypeAlias = dict[str, object]
Sliced: TypeAlias = tuple[Metric, Slice | None]
Members: TypeAlias = Mapping[ArmKey, Integers]
Bounded: TypeAlias = Mapping[Group | None, tuple[Clipping, Clipping]]  # by group; None has those of all others, too

WITHOUT_BOUNDS = Group(Part.SENSITIVITY, UNCAPPED)
NO_SELF_CHECK: Row = {"split_calls": None, "split_reason": None}
NO_PART: Row = {"part": None, "name": None, "value": None}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MetricRange:
    """One metric over one range of identities.

    identity_hash: of every identity
    """

    values: MetricValues
    members: Members
    identity_hash: Integers

    def of_arm(self, key: ArmKey, bounds: tuple[Clipping, Clipping]) -> tuple[Integers, Floats, Floats | None]:
        """Return the hashes of the identities of an arm that the metric is over, and their values within its bounds."""
        measured, (y_bounds, x_bounds) = self.values.measured(self.members[key]), bounds
        x = None if self.values.x is None else x_bounds.clipped(self.values.x[measured])
        return self.identity_hash[measured], y_bounds.clipped(self.values.y[measured]), x


class MetricAggregation:
    """Aggregates of metrics, while the identities come range by range. A context manager: it may write to disk.

    Args:
        sliced: the metrics, and slices of them.
        as_of: of the refresh.
        on_disk: whether values that are kept go to disk.
        keeps_values: whether those of all metrics are kept.
        sensitive: the metric that is also aggregated in other ways than it is declared.
        self_check: the arm that is split in halves, and the seed of its splits; None for no self-check.
    """

    def __init__(
        self,
        sliced: Sequence[Sliced],
        as_of: datetime,
        *,
        on_disk: bool,
        keeps_values: bool = False,
        sensitive: Metric | None = None,
        self_check: tuple[int, str] | None = None,
    ) -> None:
        self._sensitive = (sensitive, None)
        arm, seed = self_check or (None, "")
        self._split: ArmKey | None = None if arm is None else (None, arm)
        checked = [] if arm is None else [each for each, of in sliced if of is None and checks_itself(each)]
        self._halves = {(each, None): Halves(seed, each.id) for each in checked}
        self._sliced, self._as_of_us, self._keeps_values = sliced, (as_of - EPOCH) // MICROSECOND, keeps_values
        self._folder = TemporaryDirectory(prefix="experiment-pipeline-values-") if on_disk else None
        self._numbers = count()
        self._held: defaultdict[Sliced, list[MetricRange]] = defaultdict(list)
        self._moments: defaultdict[Sliced, dict[ArmKey, ArmMoments]] = defaultdict(dict)
        self._types: dict[tuple[str, str], Integers] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, scanned: ScannedRange) -> None:
        """Take in the events of one range of identities."""
        for key, events in scanned.types.items():
            self._types[key] = self._types.get(key, 0) + events
        needs_all = any(self._needs_all(metric) for metric, _ in self._sliced)
        kept = self._kept(scanned.members) if needs_all else scanned.members
        hashes = scanned.population.identity_hash
        kept_hashes = self._kept_array(hashes) if needs_all and self._halves else hashes
        for metric, of in self._sliced:
            values = metric_values((metric, of), scanned.population, scanned.kept, self._as_of_us)
            members = self._members_of((metric, of), kept)
            if self._needs_all(metric):
                self._held[metric, of].append(MetricRange(self._kept_values(values), members, kept_hashes))
            else:
                self._merge((metric, of), MetricRange(values, members, hashes), self._bounds_of((metric, of), []))

    def rows(self, variants: Sequence[str]) -> list[Row]:
        """Return a row per metric, part and variant, sorted."""
        rows = [row for sliced in self._sliced for row in self._rows_of(sliced, variants)]
        return sorted(rows, key=lambda row: tuple((row[name] is not None, row[name]) for name in ROW_KEY))

    def ranges(self, sliced: Sliced) -> Sequence[MetricRange]:
        """Return the values of one metric, range by range, where all values are kept."""
        return self._held[sliced]

    def _needs_all(self, metric: Metric) -> bool:
        """Return whether the values of all identities are needed at once."""
        needs_all = isinstance(metric.statistic, Quantile) or any(each.pooled_bounds for each in metric.measures)
        return self._keeps_values or needs_all

    def _rows_of(self, sliced: Sliced, variants: Sequence[str]) -> Iterator[Row]:
        metric, of = sliced
        held = self._held[sliced]
        bounds = self._bounds_of(sliced, held)
        for each in held:
            self._merge(sliced, each, bounds)
        for (group, arm), moments in self._moments[sliced].items():
            of_group = bounds.get(group, bounds[None])
            quantile = _quantile(metric.statistic, held, (group, arm), of_group[0])
            yield {
                **_key_columns(metric.id, group if of is None else of.group, variants[arm]),
                **_moment_columns(moments),
                **_bound_columns(*of_group),
                **_quantile_columns(quantile),
                **self._self_check_columns(sliced, (group, arm)),
                "mixed_fields": stored_types(self._mixed_fields(metric)) if group is None and of is None else None,
            }

    def _self_check_columns(self, sliced: Sliced, key: ArmKey) -> Row:
        """Return the self-check of a metric, in the row of the arm that is split."""
        metric, of = sliced
        if key != self._split or of is not None:
            return NO_SELF_CHECK
        found = count_calls(metric, self._halves[sliced].splits() if sliced in self._halves else ())
        return {"split_calls": found.calls, "split_reason": found.reason}

    def _mixed_fields(self, metric: Metric) -> Iterator[FieldTypes]:
        """Yield the properties of the metric's events that came in several types."""
        for event, field in metric.properties:
            if (event, field) in self._types:
                found = FieldTypes(event, field, counts_of(enumerate(self._types[event, field].tolist())))
                if found.is_mixed:
                    yield found

    def _members_of(self, sliced: Sliced, members: Members) -> Members:
        """Return the identities that one metric is aggregated over, by group and arm; slices have no groups."""
        metric, of = sliced
        if of is not None:
            return _everybody(members)
        if sliced != self._sensitive:
            return {key: numbers for key, numbers in members.items() if not _is_sensitivity(key)}
        if all(each.cap is None and each.floor is None for each in metric.measures):
            return members
        return {**members, **{(WITHOUT_BOUNDS, arm): own for (_, arm), own in _everybody(members).items()}}

    def _bounds_of(self, sliced: Sliced, held: Sequence[MetricRange]) -> Bounded:
        """Return the bounds of a metric; those that are percentiles are other ones where other identities are read."""
        metric, _ = sliced
        bounds: dict[Group | None, tuple[Clipping, Clipping]] = {None: _clippings(metric, held)}
        for group in dict.fromkeys(group for each in held for group, _ in filter(_is_sensitivity, each.members)):
            bounds[group] = _clippings(metric, held, group)
        return {**bounds, WITHOUT_BOUNDS: (Clipping(), Clipping())}

    def _merge(self, sliced: Sliced, new: MetricRange, bounds: Bounded) -> None:
        if self._split is not None and sliced in self._halves:
            self._halves[sliced].add(*new.of_arm(self._split, bounds[None]))
        of_metric = self._moments[sliced]
        for key, moments in _moments(new, bounds):
            of_metric[key] = of_metric[key].merge(moments) if key in of_metric else moments

    def _kept(self, arrays: Mapping[ArmKey, Integers]) -> Members:
        return {key: self._kept_array(array) for key, array in arrays.items()}

    def _kept_values(self, values: MetricValues) -> MetricValues:
        def kept(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(kept, value))
            return self._kept_array(value) if isinstance(value, np.ndarray) else value

        return replace(values, **{each.name: kept(getattr(values, each.name)) for each in fields(values)})

    def _kept_array(self, array: NDArray[T]) -> NDArray[T]:
        """Return the same array; of several ranges as a file, which takes no memory while it is not read."""
        if self._folder is None:
            return array
        path = Path(self._folder.name, f"{next(self._numbers)}.npy")
        np.save(path, array)
        kept: NDArray[T] = np.load(path, mmap_mode="r")
        return kept


def _everybody(members: Members) -> Members:
    """Return the identities of every arm, without those of single groups."""
    return {(group, arm): numbers for (group, arm), numbers in members.items() if group is None}


def _is_sensitivity(key: ArmKey) -> bool:
    group, _ = key
    return group is not None and group.part is Part.SENSITIVITY


def _moments(of: MetricRange, bounds: Bounded) -> Iterator[tuple[ArmKey, ArmMoments]]:
    """Yield the moments of every arm, of the metric and of every step of a funnel."""
    for (group, arm), members in of.members.items():
        y_bounds, x_bounds = bounds.get(group, bounds[None])
        yield (group, arm), of.values.moments(members, y_bounds, x_bounds)
        if group is None:
            for number, step in enumerate(of.values.steps, start=1):
                reached = replace(of.values, y=step)
                yield (Group(Part.STEP, str(number)), arm), reached.moments(members, y_bounds, x_bounds)


def _clippings(metric: Metric, held: Sequence[MetricRange], group: Group | None = None) -> tuple[Clipping, Clipping]:
    """Return the bounds of a metric's measure, and those of its denominator or its pre-period."""
    of_y, of_x = next(iter(metric.measures), None), None
    match metric.statistic:
        case Ratio(_, denominator):
            of_x = denominator
        case Mean(measure, before) if before is not None:
            of_x = measure
    return _clipping(of_y, pooled_values(held, "y", group)), _clipping(of_x, pooled_values(held, "x", group))


def _clipping(measure: Measure | None, values: Sequence[Floats]) -> Clipping:
    return Clipping() if measure is None else Clipping(_bound(measure.cap, values), _bound(measure.floor, values))


def _bound(bound: Bound | None, values: Sequence[Floats]) -> float | None:
    """Return a bound as a number; None where there is none, or no value that a percentile could be of."""
    if bound is None or bound.percentile is None:
        return None if bound is None else bound.at
    pieces = [piece[piece != 0] for piece in values] if bound.of_nonzero else list(values)
    n = sum(map(len, pieces))
    if not n:
        return None
    return order_statistics(pieces, [nearest_rank(Fraction(str(bound.percentile)) / 100, n)])[0]


def pooled_values(held: Iterable[MetricRange], name: str, group: Group | None = None) -> list[Floats]:
    """Return the values of all compared variants together (rule M10); of everybody, or of one group."""
    found = []
    for each in held:
        values = getattr(each.values, name)
        if values is not None:
            members = [numbers for (of, _), numbers in each.members.items() if of == group]
            found += [values[each.values.measured(numbers)] for numbers in members]
    return found


def _quantile(statistic: object, held: Sequence[MetricRange], key: ArmKey, bounds: Clipping) -> QuantileEstimate | None:
    match statistic:
        case Quantile(q, Events()):
            return _quantile_of_events(q, held, key)
        case Quantile(q, Measure()):
            return _quantile_of_identities(q, held, key, bounds)
        case _:
            return None


def _quantile_of_identities(
    q: float, held: Sequence[MetricRange], key: ArmKey, bounds: Clipping
) -> QuantileEstimate | None:
    pieces = [bounds.clipped(each.values.y[each.values.measured(each.members[key])]) for each in held]
    n = sum(map(len, pieces))
    return _estimate(q, pieces, n, math.sqrt(q * (1 - q) / n)) if n else None


def _quantile_of_events(q: float, held: Sequence[MetricRange], key: ArmKey) -> QuantileEstimate | None:
    kept = [numbers_of(each, key) for each in held]
    pieces = [numbers for _, numbers, _ in kept]
    n = sum(map(len, pieces))
    if not n:
        return None
    quantile = order_statistics(pieces, [nearest_rank(q, n)])[0]
    share = ShareBelow()
    for identities, numbers, size in kept:
        share.add(np.bincount(identities, minlength=size), np.bincount(identities[numbers <= quantile], minlength=size))
    return replace(_estimate(q, pieces, n, share.error), n=share.identities)


def numbers_of(each: MetricRange, key: ArmKey) -> tuple[Integers, Floats, int]:
    """Return the identities and the numbers of the events of one arm, and how many identities there are at most."""
    assert each.values.event_numbers is not None  # noqa: S101 - kept for a quantile of events
    identities, numbers = each.values.event_numbers
    is_member = np.zeros(len(each.values.y), bool)
    is_member[each.values.measured(each.members[key])] = True
    own = np.flatnonzero(is_member[identities])
    return identities[own], numbers[own], len(is_member)


def _estimate(q: float, pieces: Sequence[Floats], n: int, share_error: float) -> QuantileEstimate:
    low, high = interval_ranks(q, n, share_error) if math.isfinite(share_error) else (None, None)
    ranks = [nearest_rank(q, n), *(rank for rank in (low, high) if rank is not None)]
    value, *ends = order_statistics(pieces, ranks)
    found = iter(ends)
    return QuantileEstimate(n, value, None if low is None else next(found), None if high is None else next(found))


ROW_KEY = ("metric_id", "part", "name", "value", "is_other", "variant")


def _key_columns(metric_id: int, group: Group | None, variant: str) -> Row:
    of_group = {"part": group.part.value, "name": group.name, "value": group.value} if group else NO_PART
    return {"metric_id": metric_id, **of_group, "is_other": group is not None and group.is_other, "variant": variant}


def _moment_columns(moments: ArmMoments) -> Row:
    """Return the moments, null where they are too large for a float, and the counts."""
    y, x = moments.y, moments.x
    return {
        "n": y.n,
        "mean": y.mean,
        "m2": y.m2,
        "largest": moments.largest,
        "mean_x": x and x.mean,
        "m2_x": x and x.m2,
        "c_xy": moments.c_xy,
        **asdict(moments.counts),
    }


def _bound_columns(of_y: Clipping, of_x: Clipping) -> Row:
    return {"cap": of_y.cap, "floor": of_y.floor, "cap_x": of_x.cap, "floor_x": of_x.floor}


def _quantile_columns(quantile: QuantileEstimate | None) -> Row:
    return {
        "quantile": quantile and quantile.value,
        "quantile_low": quantile and quantile.low,
        "quantile_high": quantile and quantile.high,
    }
