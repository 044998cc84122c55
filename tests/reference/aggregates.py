"""One number per identity and its exact moments per variant: rules M2-M5."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.reference.events import Event
from tests.reference.exposures import Experiment, FirstExposure, Metric


@dataclass(frozen=True)
class Moments:
    """Exact moments of a sample. `m2` is the sum of squared deviations from the mean."""

    n: int
    total: Fraction
    sum_squares: Fraction

    @property
    def mean(self) -> Fraction:
        """0 without identities."""
        return self.total / self.n if self.n else Fraction(0)

    @property
    def m2(self) -> Fraction:
        """Exact, so the textbook formula loses nothing."""
        return self.sum_squares - self.total * self.mean


@dataclass(frozen=True)
class Aggregates:
    """One metric: moments by variant, and how many values it reads, how many of them are no numbers (rule E5).

    Of the identities: how many are not 0, how many have a value at all, and the largest value, None without any.
    """

    by_variant: dict[str, Moments]
    invalid_values: dict[str, int]
    values: dict[str, int]
    nonzero: dict[str, int]
    with_value: dict[str, int]
    largest: dict[str, Fraction | None]

    def unreadable(self, variants: Iterable[str]) -> bool:
        """Rule E5: more than one value in a hundred, in any of these arms."""
        return any(Fraction(self.invalid_values[key], self.values[key]) > Fraction(1, 100) for key in variants
                   if self.values.get(key))  # fmt: skip


def aggregate(
    metric: Metric, events: Iterable[Event], firsts: dict[str, FirstExposure], experiment: Experiment
) -> Aggregates:
    """Moments per variant over every analysed identity, those without events included (rule M4)."""
    analysed = {identity: first for identity, first in firsts.items() if not first.excluded}
    attributed: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        first = analysed.get(event.identifier)
        if first is not None and _counts(event, metric, first, experiment):
            attributed[event.identifier].append(event)

    samples: defaultdict[str, list[Fraction]] = defaultdict(list)
    invalid: defaultdict[str, int] = defaultdict(int)
    values: defaultdict[str, int] = defaultdict(int)
    with_value: defaultdict[str, int] = defaultdict(int)
    for identity, first in analysed.items():
        own = attributed[identity]
        samples[first.variant].append(_value(metric, own))
        with_value[first.variant] += metric.aggregation != "mean" or any(event.number is not None for event in own)
        if metric.aggregation in ("sum", "mean"):
            invalid[first.variant] += sum(event.number is None for event in own)
            values[first.variant] += len(own)
    for key in experiment.compared_keys:
        samples[key] += []
    return Aggregates(
        by_variant={variant: moments(sample) for variant, sample in samples.items()},
        invalid_values=dict(invalid),
        values=dict(values),
        nonzero={variant: sum(value != 0 for value in sample) for variant, sample in samples.items()},
        with_value={variant: with_value[variant] for variant in samples},
        largest={variant: max(sample, default=None) for variant, sample in samples.items()},
    )


def moments(sample: Sequence[Fraction]) -> Moments:
    """The moments of plain numbers."""
    return Moments(len(sample), sum(sample, Fraction(0)), sum((x * x for x in sample), Fraction(0)))


def _counts(event: Event, metric: Metric, first: FirstExposure, experiment: Experiment) -> bool:
    """Rule M2."""
    return (
        event.environment_key == experiment.environment_key
        and event.event == metric.event
        and first.at <= event.timestamp < experiment.as_of
        and (metric.window is None or event.timestamp < first.at + metric.window)
    )


def _value(metric: Metric, events: list[Event]) -> Fraction:
    """Rule M3: what one identity contributes."""
    numbers = [Fraction(event.number) for event in events if event.number is not None]
    match metric.aggregation:
        case "occurrence":
            return Fraction(1 if events else 0)
        case "count":
            return Fraction(len(events))
        case "sum":
            return sum(numbers, Fraction(0))
        case "mean":
            return sum(numbers, Fraction(0)) / len(numbers) if numbers else Fraction(0)
