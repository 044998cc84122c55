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
    """The direction that is better; `down` flips the chance to win (rule M1)."""

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


@dataclass(frozen=True, slots=True)
class AttachedMetric:
    """A metric as one experiment uses it; the first attached is the primary one."""

    metric: Metric
    expected_direction: ExpectedDirection
