"""One number per identity and its exact moments per variant: rules M4-M15, M18 and M20."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from tests.reference.conditions import text_of
from tests.reference.events import Event
from tests.reference.exposures import Experiment, FirstExposure
from tests.reference.metrics import Events, Funnel, Metric, Quantile
from tests.reference.quantiles import QuantileEstimate, of_events, of_identities, share
from tests.reference.values import People, Value, Values, people_of, values_of

LISTED = 20  # values of a dimension or a property; the rest is `other`


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
class JointMoments:
    """Moments of pairs: x is the denominator of a ratio or the pre-period, y the numerator or the metric."""

    x: Moments
    y: Moments
    sum_products: Fraction

    @property
    def c_xy(self) -> Fraction:
        """The sum of products of the deviations from both means."""
        return self.sum_products - self.x.total * self.y.mean


@dataclass(frozen=True)
class Bounds:
    """Rule M10: thresholds, and how many identities each has touched, by variant."""

    cap: Fraction | None
    floor: Fraction | None
    capped: dict[str, int]
    floored: dict[str, int]


@dataclass(frozen=True)
class Group:
    """A step of a funnel, a slice, or a value of a dimension; of two that are crossed the JSON text of both."""

    part: Literal["step", "slice", "dimension"]
    name: str
    value: str | None = None
    is_other: bool = False


@dataclass(frozen=True)
class Aggregates:
    """One metric: moments by variant, and how many values it reads, how many of them are no numbers (rule E5).

    Of the identities in the moments: how many are not 0, how many have a value at all, and the largest value, None
    without any. `identities` are all that are analysed, those without a value included.
    """

    by_variant: dict[str, Moments]
    invalid_values: dict[str, int]
    values: dict[str, int]
    nonzero: dict[str, int]
    with_value: dict[str, int]
    largest: dict[str, Fraction | None]
    identities: dict[str, int] = field(default_factory=dict)
    joint: dict[str, JointMoments] = field(default_factory=dict)
    nonzero_x: dict[str, int] = field(default_factory=dict)
    quantiles: dict[str, QuantileEstimate | None] = field(default_factory=dict)
    not_mature: dict[str, int] = field(default_factory=dict)
    bounds: Bounds | None = None
    joint_bounds: Bounds | None = None
    groups: "dict[Group, Aggregates]" = field(default_factory=dict)
    with_event: dict[str, int] = field(default_factory=dict)

    def unreadable(self, variants: Iterable[str]) -> bool:
        """Rule E5: more than one value in a hundred, in any of these arms."""
        return any(Fraction(self.invalid_values[key], self.values[key]) > Fraction(1, 100) for key in variants
                   if self.values.get(key))  # fmt: skip


def aggregate(
    metric: Metric, events: Iterable[Event], firsts: dict[str, FirstExposure], experiment: Experiment
) -> Aggregates:
    """Moments per variant over every analysed identity, those without events included (rule M4)."""
    people = people_of(metric, events, firsts, experiment)
    groups = _steps(metric, people) | _slices(metric, people) | _dimensions(metric, people)
    return replace(_summary(metric, people, values_of(metric, people)), groups=groups)


def moments(sample: Sequence[Fraction]) -> Moments:
    """The moments of plain numbers."""
    return Moments(len(sample), sum(sample, Fraction(0)), sum((x * x for x in sample), Fraction(0)))


def joint_moments(pairs: Sequence[tuple[Fraction, Fraction]]) -> JointMoments:
    """The moments of plain `(x, y)` pairs."""
    products = sum((x * y for x, y in pairs), Fraction(0))
    return JointMoments(moments([x for x, _ in pairs]), moments([y for _, y in pairs]), products)


def _summary(metric: Metric, people: People, values: Values) -> Aggregates:
    """By variant: everything but the parts."""
    rows: dict[str, list[Value]] = {key: [] for key in people.experiment.compared_keys}
    for identity, value in values.of_identity.items():
        rows.setdefault(people.who[identity].first.variant, []).append(value)
    samples = {key: [row.y for row in own if row.y is not None] for key, own in rows.items()}
    reads = any(row.read for own in rows.values() for row in own)
    return Aggregates(
        by_variant={key: moments(sample) for key, sample in samples.items()},
        invalid_values=_sums(rows, lambda row: row.invalid) if reads else {},
        values=_sums(rows, lambda row: row.read) if reads else {},
        nonzero={key: sum(value != 0 for value in sample) for key, sample in samples.items()},
        with_value=_sums(rows, lambda row: row.has_number),
        with_event=_sums(rows, lambda row: row.has_event),
        largest={key: max(sample, default=None) for key, sample in samples.items()},
        identities={key: len(own) for key, own in rows.items()},
        joint={key: joint_moments(_pairs(own)) for key, own in rows.items()} if values.are_pairs else {},
        nonzero_x={key: sum(x != 0 for x, _ in _pairs(own)) for key, own in rows.items()} if values.are_pairs else {},
        quantiles=_quantiles(metric, rows),
        not_mature=dict(Counter(who.first.variant for who in people.waiting.values())),
        bounds=_bounds(metric, rows, values, 0),
        joint_bounds=_bounds(metric, rows, values, 1),
    )


def _pairs(rows: Sequence[Value]) -> list[tuple[Fraction, Fraction]]:
    return [(row.x, row.y) for row in rows if row.x is not None and row.y is not None]


def _sums(rows: Mapping[str, Sequence[Value]], number: Callable[[Value], int]) -> dict[str, int]:
    return {key: sum(map(number, own)) for key, own in rows.items()}


def _quantiles(metric: Metric, rows: Mapping[str, Sequence[Value]]) -> dict[str, QuantileEstimate | None]:
    match metric.statistic:
        case Quantile(q, of=Events()):
            return {key: of_events([row.events for row in own], share(q)) for key, own in rows.items()}
        case Quantile(q):
            return {key: of_identities([row.y for row in own if row.y is not None], share(q))
                    for key, own in rows.items()}  # fmt: skip
        case _:
            return {}


def _bounds(metric: Metric, rows: Mapping[str, Sequence[Value]], values: Values, number: int) -> Bounds | None:
    """Bounds of the metric's y or x: the second is its denominator or its pre-period. None where it has none."""
    if number >= len(values.held_to):
        return None
    measure = metric.measures[min(number, len(metric.measures) - 1)]
    if measure.cap is None and measure.floor is None:
        return None
    held = values.held_to[number]
    return Bounds(
        held.cap,
        held.floor,
        capped=_sums(rows, lambda row: row.capped[number]),
        floored=_sums(rows, lambda row: row.floored[number]),
    )


def _steps(metric: Metric, people: People) -> dict[Group, Aggregates]:
    """Rule M14: a step is an occurrence of all identities."""
    if not isinstance(metric.statistic, Funnel):
        return {}
    return {
        Group("step", str(number)): _summary(metric, people, values_of(metric, people, step=number))
        for number in range(1, len(metric.statistic.steps) + 1)
    }


def _slices(metric: Metric, people: People) -> dict[Group, Aggregates]:
    """Rule M18: of the events that the measure counts for compared identities; everybody is in each slice."""
    if not metric.measures or (path := metric.measures[0].slice_by) is None:
        return {}
    texts: Counter[str | None] = Counter()
    for identity, events in people.of(metric.measures[0].events).items():
        if people.is_compared(identity):
            texts.update(text_of(event, path) for event in events)

    def only(values: set[str | None], *, inside: bool) -> Aggregates:
        return _summary(
            metric, people, values_of(metric, people, lambda event: (text_of(event, path) in values) is inside)
        )

    listed = _listed(texts)
    groups = {Group("slice", path, value): only({value}, inside=True) for value in listed}
    if len(texts) > len(listed):
        groups[Group("slice", path, is_other=True)] = only(set(listed), inside=False)
    return groups


def _dimensions(metric: Metric, people: People) -> dict[Group, Aggregates]:
    """Rules M15 and M20: thresholds and quantiles of bounds are those of everybody."""
    values = values_of(metric, people)
    groups: dict[Group, Aggregates] = {}
    experiment = people.experiment
    for names in [(name,) for name in experiment.dimensions] + list(experiment.cross):
        traits = [experiment.dimensions[name] for name in names]
        of_identity = {
            identity: _shown([who.first.text_of(trait) for trait in traits])
            for identity, who in (people.who | people.waiting).items()
            if people.is_compared(identity)
        }
        listed = _listed(Counter(of_identity.values()))
        cells: defaultdict[Group, set[str]] = defaultdict(set)
        for identity, value in of_identity.items():
            is_other = value not in listed
            group = Group("dimension", " × ".join(names), None if is_other else value, is_other)
            cells[group].add(identity)
        for group, identities in cells.items():
            groups[group] = _summary(metric, people.only(identities), values.only(identities))
    return groups


def _shown(texts: Sequence[str | None]) -> str | None:
    return texts[0] if len(texts) == 1 else json.dumps(texts, ensure_ascii=False, separators=(",", ":"))


def _listed(sizes: Counter[str | None]) -> list[str | None]:
    """The largest values, ties by text; the missing one, which is a value of its own, comes before every text."""
    return sorted(sizes, key=lambda value: (-sizes[value], value is not None, value or ""))[:LISTED]
