"""Exposures: the analysis window, its granularity, and the payload of first-exposed identities over time (X1-X7)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby

HOURLY_UP_TO = timedelta(hours=72)  # rule X4


class Granularity(StrEnum):
    """Width of a bucket; its start is UTC."""

    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open `[started_at, as_of)` in UTC; an exposure at exactly `as_of` is out (rule X1)."""

    started_at: datetime
    as_of: datetime

    def __post_init__(self) -> None:
        if self.started_at.utcoffset() != timedelta(0) or self.as_of.utcoffset() != timedelta(0):
            raise ValueError(f"window: both ends must be UTC, got {self.started_at!r} and {self.as_of!r}")
        if self.as_of < self.started_at:
            raise ValueError(f"window: as_of {self.as_of} lies before started_at {self.started_at}")

    @property
    def granularity(self) -> Granularity:
        """Rule X4: hourly up to 72 hours, then daily."""
        return Granularity.HOUR if self.as_of - self.started_at <= HOURLY_UP_TO else Granularity.DAY


@dataclass(frozen=True, slots=True, order=True)
class ExposureBucket:
    """Identities of one variant first exposed in one bucket; `quarantined` ones saw several variants (rule X3)."""

    bucket: datetime
    variant: str
    quarantined: bool
    new_identities: int


@dataclass(frozen=True, slots=True)
class ExposuresPoint:
    """One bucket of the series: increments only, nothing derivable."""

    bucket: datetime
    new_identities: dict[str, int]


@dataclass(frozen=True, slots=True)
class ExposuresTimeseries:
    """Points are sparse and sorted by bucket."""

    granularity: Granularity
    points: tuple[ExposuresPoint, ...]


@dataclass(frozen=True, slots=True)
class ExposuresSummary:
    """Exposures of one experiment over its window (rule X7)."""

    excluded_identities: int
    timeseries: ExposuresTimeseries

    @property
    def identities(self) -> int:
        """Identities counted, over all variants and buckets."""
        return sum(sum(point.new_identities.values()) for point in self.timeseries.points)


def summarise_exposures(buckets: Iterable[ExposureBucket], granularity: Granularity) -> ExposuresSummary:
    """Return the summary of an engine's buckets, in any order.

    Quarantined identities appear in `excluded_identities` and nowhere else; under the policy `first` (rule X3) the
    engine flags none.
    """
    ordered = sorted(buckets)
    counted = [bucket for bucket in ordered if not bucket.quarantined]
    points = tuple(
        ExposuresPoint(bucket=start, new_identities={row.variant: row.new_identities for row in rows})
        for start, rows in groupby(counted, key=lambda row: row.bucket)
    )
    return ExposuresSummary(
        excluded_identities=sum(bucket.new_identities for bucket in ordered if bucket.quarantined),
        timeseries=ExposuresTimeseries(granularity=granularity, points=points),
    )
