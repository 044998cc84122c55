"""Caps and floors of the values of identities, percentiles among them, as Ibis expressions (rule M10).

A percentile is the value at a rank of all analysed identities of the compared variants together. It is found by
`row_number` in the rows themselves, so that these are made once; identities without a row are zeros between them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ibis

from experiment_pipeline.domain.measures import Bound
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.warehouse.ibis.measures import MetricColumns, one

SIDES = ("cap", "floor")
EVERYTHING = ibis.window()


@dataclass(frozen=True, slots=True)
class BoundColumns:
    """A cap or a floor of one number of a metric.

    Attributes:
        of: the metric.
        number: `y` or `x`.
        side: `cap` or `floor`.
        bound: as it is declared.
    """

    of: MetricColumns
    number: str
    side: str
    bound: Bound

    @property
    def threshold(self) -> str:
        """The name of the column that holds it."""
        return self.of.of(self.side if self.number == "y" else f"{self.side}_x")

    @property
    def touched(self) -> str:
        """The name of the column that says whether it changes the value."""
        name = {"cap": "capped", "floor": "floored"}[self.side]
        return self.of.of(name if self.number == "y" else f"{name}_x")

    @property
    def rank(self) -> str:
        """The name of the column with the place of each value among those that the percentile is of, from 0 on."""
        return f"rank_{self.threshold}"

    @property
    def ranked(self) -> str:
        """The name of the column with how many there are, of identities with an event."""
        return f"ranked_{self.threshold}"

    @property
    def with_events(self) -> str:
        """The name of the column with how many identities with an event are analysed."""
        return f"with_events_{self.threshold}"

    @property
    def silent_count_as_zeros(self) -> bool:
        """Whether identities without an event are among those that the percentile is of."""
        lacks = any(counted.measure.may_lack_value for _, counted in self.of.own)
        return not lacks and not self.bound.of_nonzero

    @property
    def share(self) -> Fraction:
        """The percentile as a share."""
        return Fraction(str(self.bound.percentile)) / 100

    def of_nobody_with_events(self, identities: int) -> float | None:
        """Return it where nobody has an event, and so many identities are analysed."""
        if self.bound.percentile is None:
            return self.bound.at
        return 0.0 if identities and self.silent_count_as_zeros else None


def bounds_of(metric: Metric) -> Iterator[BoundColumns]:
    """Yield the caps and floors of the numbers of a metric: a pre-period has those of the metric itself."""
    columns = MetricColumns(metric)
    for number, counted in zip(columns.numbers, columns.counted, strict=True):
        for side in SIDES:
            bound = getattr(counted.measure, side)
            if bound is not None:
                yield BoundColumns(columns, number, side, bound)


def bounded(values: Any, metrics: Sequence[Metric], mature: Mapping[int, int]) -> Any:
    """Return the rows with every number within its bounds, these, and whether they change it.

    Args:
        values: rows of `identity_values`.
        metrics: of measures.
        mature: identities of the compared variants whose window has ended, by metric.
    """
    bounds = [each for metric in metrics for each in bounds_of(metric)]
    if not bounds:
        return values
    pooled = [each for each in bounds if each.bound.percentile is not None]
    if pooled:
        values = values.mutate(**{name: found for each in pooled for name, found in _ranks(values, each)})
    thresholds = {
        each.threshold: _at_percentile(values, each, mature[each.of.metric.id])
        if each.bound.percentile is not None
        else ibis.literal(float(each.bound.at or 0.0))
        for each in bounds
    }
    values = values.mutate(**thresholds)
    touched = {each.touched: one(_is_beyond(values, each)) for each in bounds}
    numbers = {each.of.of(each.number): each for each in bounds}
    return values.mutate(**touched, **{name: _within(values, name, bounds) for name in numbers})


def _is_ranked(values: Any, bound: BoundColumns) -> Any:
    """Return whether each value is one that the percentile is of."""
    number = values[bound.of.of(bound.number)]
    return number.notnull() & (number != 0) if bound.bound.of_nonzero else number.notnull()


def _ranks(values: Any, bound: BoundColumns) -> Iterator[tuple[str, Any]]:
    """Yield the place of each value, those that do not count behind the others, and how many values there are."""
    is_ranked = _is_ranked(values, bound)
    yield bound.rank, ibis.row_number().over(ibis.window(order_by=[one(~is_ranked), values[bound.of.of(bound.number)]]))
    yield bound.ranked, one(is_ranked).sum().over(EVERYTHING)
    if bound.silent_count_as_zeros:
        yield bound.with_events, values[bound.of.of("analysed")].sum().over(EVERYTHING)


def _at_percentile(values: Any, bound: BoundColumns, mature: int) -> Any:
    """Return the value at the nearest rank: the smallest that at least the share of all n values does not exceed.

    The rank r is the smallest whole number with `r >= share n`, which is compared without a division. Identities
    without an event are zeros: they come after the negative values, and before the positive ones.
    """
    is_ranked, number = _is_ranked(values, bound), values[bound.of.of(bound.number)]
    n, silent = values[bound.ranked], ibis.literal(0, type="int64")
    if bound.silent_count_as_zeros:
        silent = mature - values[bound.with_events]
        n += silent
    place = values[bound.rank] + 1
    rank = (number < 0).ifelse(place, place + silent)
    share, of_all = bound.share, n * bound.share.numerator
    is_it = (rank * share.denominator >= of_all) & ((rank - 1) * share.denominator < of_all)
    found = (is_ranked & (number != 0) & is_it).ifelse(number, ibis.null("float64")).max().over(EVERYTHING)
    return (n > 0).ifelse(found.fill_null(0.0), ibis.null("float64"))


def _is_beyond(values: Any, bound: BoundColumns) -> Any:
    number, threshold = values[bound.of.of(bound.number)], values[bound.threshold]
    return number > threshold if bound.side == "cap" else number < threshold


def _within(values: Any, name: str, bounds: Sequence[BoundColumns]) -> Any:
    """Return a number at least its floor and at most its cap, which wins."""
    found = values[name]
    for side in reversed(SIDES):
        for each in bounds:
            if each.side == side and each.of.of(each.number) == name:
                threshold = values[each.threshold]
                is_beyond = found > threshold if side == "cap" else found < threshold
                found = is_beyond.ifelse(threshold, found)
    return found
