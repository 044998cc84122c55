"""Measures: which events of an identity count, and how they become one number (rules M2, M3, M6-M8, M10)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Self, TypeAlias

from typing_extensions import override

Scalar: TypeAlias = str | int | float | bool


class Clock(StrEnum):
    """The ways in which evidence accrues (rule C1); docs/adr/0041 has what was measured of each.

    - `odds`: values are 0 or 1, and turn from 0 to 1 once: occurrence, retention, steps of a funnel.
    - `events`: values grow or settle with every event: count, sum, mean.
    - `saturating`: values are whole numbers that each thing adds to once, until nothing is left: days, weeks, distinct.
    - `information`: of the estimate itself, where there is no number of events to count: ratios, quantiles.
    - `identities`: values are final once they are there: the first event's, and all where only identities whose window
      has ended are analysed.
    - `extremes`: each event may take the place of all before it: min, max.
    - `replaced`: each event does: last.
    """

    ODDS = "odds"
    EVENTS = "events"
    SATURATING = "saturating"
    INFORMATION = "information"
    IDENTITIES = "identities"
    EXTREMES = "extremes"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Reduction:
    """Properties of an aggregation that follow from how it makes a number of events.

    Attributes:
        clock: how the evidence of such numbers accrues (rule C1).
        reads_numbers: whether it reads the events' values as numbers, so that other values are invalid ones (rule E5).
        may_lack_value: whether an identity without a number among its events has no value, instead of 0 (rule M6).
        reads_texts: whether it reads the texts of the events' values.
        is_count: whether the number is one of things that happened.
    """

    clock: Clock = Clock.EVENTS
    reads_numbers: bool = False
    may_lack_value: bool = False
    reads_texts: bool = False
    is_count: bool = False


EVENT_BY_EVENT = Reduction()


def _of_numbers(clock: Clock) -> Reduction:
    return Reduction(clock, reads_numbers=True, may_lack_value=True)


class Aggregation(StrEnum):
    """The ways in which one identity's events become one number (rules M3, M6)."""

    OCCURRENCE = "occurrence", Reduction(Clock.ODDS)
    COUNT = "count", Reduction(is_count=True)
    SUM = "sum", Reduction(reads_numbers=True)
    MEAN = "mean", _of_numbers(Clock.EVENTS)
    MIN = "min", _of_numbers(Clock.EXTREMES)
    MAX = "max", _of_numbers(Clock.EXTREMES)
    FIRST = "first", _of_numbers(Clock.IDENTITIES)
    LAST = "last", _of_numbers(Clock.REPLACED)
    DAYS = "days", Reduction(Clock.SATURATING, is_count=True)
    WEEKS = "weeks", Reduction(Clock.SATURATING, is_count=True)
    DISTINCT = "distinct", Reduction(Clock.SATURATING, reads_texts=True, is_count=True)

    reduction: Reduction

    def __new__(cls, name: str, reduction: Reduction = EVENT_BY_EVENT) -> Self:
        """Return a member; its value is the name in API, YAML and registry."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.reduction = reduction
        return member

    @property
    def reads_numbers(self) -> bool:
        """Whether it reads the events' values as numbers, so that other values are invalid ones (rule E5)."""
        return self.reduction.reads_numbers

    @property
    def may_lack_value(self) -> bool:
        """Whether an identity without a number among its events has no value, instead of 0 (rule M6)."""
        return self.reduction.may_lack_value


class Missing(StrEnum):
    """The treatment of an identity without a value: left out of the metric, or 0 (rule M6)."""

    LEFT_OUT = "left_out"
    ZERO = "zero"


class Operator(StrEnum):
    """The comparisons of a condition (rule M7)."""

    IS = "is"
    IN = "in"
    NOT_IN = "not_in"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one field of an event (rule M7).

    Attributes:
        field: `value`, or a path into the event's traits or metadata: `traits.country`, `metadata.cart.size`.
        operand: True or False for `exists`, a tuple for `in` and `not_in`, one scalar otherwise. Numbers compare as
            numbers, text as text.

    Two conditions are equal when they mean the same: 1 is 1.0, and not true, although Python has `1 == True`.
    """

    field: str
    operator: Operator
    operand: Scalar | tuple[Scalar, ...]

    @property
    def operands(self) -> tuple[Scalar, ...]:
        """The operand as a tuple, whether it is one scalar or several."""
        return self.operand if isinstance(self.operand, tuple) else (self.operand,)

    @property
    def compares_property(self) -> bool:
        """Whether it compares a property with operands, so that the type of the property matters."""
        return self.field != "value" and self.operator is not Operator.EXISTS

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and self._meaning == other._meaning

    @override
    def __hash__(self) -> int:
        return hash(self._meaning)

    @property
    def _meaning(self) -> tuple[object, ...]:
        kinds = tuple((isinstance(each, bool), each) for each in self.operands)
        return self.field, self.operator, isinstance(self.operand, tuple), kinds


@dataclass(frozen=True, slots=True)
class MeasureWindow:
    """The part of time after the first exposure in which events count, half-open (rules M2, M8); `end` None: no end."""

    start: timedelta = timedelta(0)
    end: timedelta | None = None


WHOLE_TIME = MeasureWindow()


@dataclass(frozen=True, slots=True)
class Events:
    """The events of an identity that count: of one name, meeting all conditions, in a window (rules M2, M7, M8)."""

    name: str
    where: tuple[Condition, ...] = ()
    window: MeasureWindow = WHOLE_TIME


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound of the values of identities: a number, or a percentile of the values themselves (rule M10).

    Exactly one of `at` and `percentile` is given.

    Attributes:
        at: the bound, in the measure's unit.
        percentile: between 50 and 100 for a cap and between 0 and 50 for a floor, exclusive; of all analysed identities
            of the compared variants together, by nearest rank.
        of_nonzero: whether the percentile is of the values that are not 0.
    """

    at: float | None = None
    percentile: float | None = None
    of_nonzero: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of each identity, made of its events (rule M6).

    Attributes:
        events: those that count.
        aggregation: how they become one number.
        missing: whether an identity without a value is left out or 0; without effect on aggregations that always have
            a value.
        cap: values above it count as it; None for no cap.
        floor: values below it count as it; None for no floor.
        slice_by: a path into the events' metadata or traits, by whose values the measure is split (rule M18).
    """

    events: Events
    aggregation: Aggregation
    missing: Missing = Missing.LEFT_OUT
    cap: Bound | None = None
    floor: Bound | None = None
    slice_by: str | None = None

    @property
    def may_lack_value(self) -> bool:
        """Whether identities without a value are left out (rule M6)."""
        return self.aggregation.may_lack_value and self.missing is Missing.LEFT_OUT

    @property
    def counts_missing_as_zero(self) -> bool:
        """Whether identities without a value are 0 in it (rule M6)."""
        return self.aggregation.may_lack_value and self.missing is Missing.ZERO

    @property
    def pooled_bounds(self) -> tuple[Bound, ...]:
        """Its bounds that are percentiles, and so known once the values of all identities are."""
        return tuple(bound for bound in (self.cap, self.floor) if bound is not None and bound.percentile is not None)
