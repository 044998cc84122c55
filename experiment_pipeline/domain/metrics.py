"""The nouns of a metric: aggregation, direction, definition, and a metric as one experiment uses it (rules M1-M3)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Aggregation(StrEnum):
    """The ways in which one identity's events become one number (rule M3)."""

    OCCURRENCE = "occurrence"
    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"


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


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure per identity (rule M1). `window` limits attribution after the first exposure (rule M2)."""

    id: int
    environment_key: str
    name: str
    event: str
    aggregation: Aggregation
    direction: Direction = Direction.UP
    description: str = ""
    window: timedelta | None = None


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
    """A metric as one experiment uses it; the first attached is the primary one."""

    metric: Metric
    expected_direction: ExpectedDirection

    @property
    def better_direction(self) -> Direction:
        """The better side of its comparisons, `up` or `down` (rule M1)."""
        return better_direction(self.metric.direction, self.expected_direction)
