"""The nouns of a metric: its statistic, its direction, and a metric as one experiment uses it (rules M1, M9-M14)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from experiment_pipeline.domain.measures import Aggregation, Events, Measure, MeasureWindow, Missing


class Direction(StrEnum):
    """The direction that is better; an informational metric takes its attachment's (rule M1)."""

    UP = "up"
    DOWN = "down"
    INFORMATIONAL = "informational"


class ExpectedDirection(StrEnum):
    """The experimenter's expectation of an attached metric; the last two make it a guardrail (rule M1)."""

    INCREASE = "increase"
    DECREASE = "decrease"
    NOT_INCREASE = "not_increase"
    NOT_DECREASE = "not_decrease"

    @property
    def is_guardrail(self) -> bool:
        """Whether the metric is watched for harm instead of tested for gain."""
        return self in (ExpectedDirection.NOT_INCREASE, ExpectedDirection.NOT_DECREASE)


class Maturity(StrEnum):
    """The identities that are analysed: all, or those whose whole window lies before the refresh (rule M8)."""

    ALL = "all"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of one measure; `covariate_before` is the length of the pre-period that adjusts it (rule M11)."""

    measure: Measure
    covariate_before: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratio of the means of two measures of the same identities (rule M9)."""

    numerator: Measure
    denominator: Measure


@dataclass(frozen=True, slots=True)
class Quantile:
    """The q-quantile of a measure of identities, or of the values of single events (rule M12); `0 < q < 1`."""

    q: float
    of: Measure | Events


@dataclass(frozen=True, slots=True)
class Retention:
    """The share of identities with an event in a window some time after the first exposure (rule M13)."""

    measure: Measure


@dataclass(frozen=True, slots=True)
class Funnel:
    """The share of identities that reach the last of several steps, in order (rule M14).

    Attributes:
        steps: two or more; their windows have no bounds.
        within: how long after the event of the first step the later ones count, exclusive; None for no end.
    """

    steps: tuple[Events, ...]
    within: timedelta | None = None


Statistic: TypeAlias = Mean | Ratio | Quantile | Retention | Funnel


@dataclass(frozen=True, slots=True)
class Metric:
    """A statistic that is estimated of each variant (rule M1).

    Attributes:
        version: of the definition that declares it: 1 or 2.
        unit: of its values, for people.
    """

    id: int
    environment_key: str
    name: str
    statistic: Statistic
    direction: Direction = Direction.UP
    description: str = ""
    maturity: Maturity = Maturity.ALL
    version: int = 2
    unit: str = ""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures of identities that it is made of; none of a funnel and of a quantile of events."""
        match self.statistic:
            case Mean(measure) | Retention(measure) | Quantile(of=Measure() as measure):
                return (measure,)
            case Ratio(numerator, denominator):
                return numerator, denominator
            case Quantile() | Funnel():
                return ()

    @property
    def events(self) -> tuple[Events, ...]:
        """The events that it reads, in the order of its definition."""
        match self.statistic:
            case Quantile(of=Events() as events):
                return (events,)
            case Funnel(steps):
                return steps
            case _:
                return tuple(measure.events for measure in self.measures)

    @property
    def event_names(self) -> tuple[str, ...]:
        """The names of the events that it reads, each once."""
        return tuple(dict.fromkeys(events.name for events in self.events))

    @property
    def properties(self) -> tuple[tuple[str, str], ...]:
        """The properties by whose values it chooses or slices events, each with the name of the event."""
        found = [(events.name, each.field) for events in self.events for each in events.where if each.compares_property]
        found += [(measure.events.name, measure.slice_by) for measure in self.measures if measure.slice_by is not None]
        return tuple(dict.fromkeys(found))

    @property
    def aggregation(self) -> Aggregation | None:
        """The aggregation of version 1 that stands closest, for clients that know no other; None where none does."""
        match self.statistic:
            case Retention() | Funnel():
                return Aggregation.OCCURRENCE
            case Mean(measure) if measure.aggregation in VERSION_1_AGGREGATIONS:
                return measure.aggregation
            case _:
                return None

    @property
    def is_proportion(self) -> bool:
        """Whether it is the share of identities of which something is true: each is 0 or 1."""
        return self.aggregation is Aggregation.OCCURRENCE

    @property
    def window(self) -> timedelta | None:
        """How long after the first exposure events count, as version 1 declares it; None for no end."""
        return next((events.window.end for events in self.events), None)


VERSION_1_AGGREGATIONS = (Aggregation.OCCURRENCE, Aggregation.COUNT, Aggregation.SUM, Aggregation.MEAN)


def mean_of_version_1(event: str, aggregation: Aggregation, window: timedelta | None = None) -> Mean:
    """Return the statistic of a version 1 definition: the mean of one measure, 0 for identities without a value."""
    return Mean(Measure(Events(event, window=MeasureWindow(end=window)), aggregation, missing=Missing.ZERO))


def better_direction(direction: Direction, expected: ExpectedDirection) -> Direction:
    """Return the better side of a comparison, `up` or `down`: verdict, chance to win and expected loss follow it (M1).

    A guardrail's is its own: lower where the metric must not increase, higher where it must not decrease. Of other
    metrics it is the metric's direction and, where that is informational, the one that was expected.
    """
    if expected.is_guardrail:
        return Direction.DOWN if expected is ExpectedDirection.NOT_INCREASE else Direction.UP
    if direction is Direction.INFORMATIONAL:
        return Direction.DOWN if expected is ExpectedDirection.DECREASE else Direction.UP
    return direction


@dataclass(frozen=True, slots=True)
class AttachedMetric:
    """A metric as one experiment uses it; the first attached is the primary one.

    added_after_start: whether it is a secondary metric that came after the start, with results in view (rule M22)
    added_in_phase: the phase after whose start it came; 0 where it was there before the first one
    overlaps_earlier_phase: whether its pre-period reaches into an earlier phase, so that nothing is adjusted (rule X11)
    margin: of a guardrail, by how much of control's mean the treatment may be worse (rule M16); 0.02 is two per cent
    """

    metric: Metric
    expected_direction: ExpectedDirection
    added_after_start: bool = False
    margin: float | None = None
    added_in_phase: int = 0
    overlaps_earlier_phase: bool = False

    @property
    def better_direction(self) -> Direction:
        """The better side of its comparisons, `up` or `down` (rule M1)."""
        return better_direction(self.metric.direction, self.expected_direction)
