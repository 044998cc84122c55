"""Exposures: the analysis window, its granularity, and the payload of first-exposed identities over time (X1-X7)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

HOURLY_UP_TO = timedelta(hours=72)  # rule X4
LISTED_VARIANTS = 20  # that nobody configured; rule X6


class Granularity(StrEnum):
    """Width of a bucket; its start is UTC."""

    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Window:
    """Window of an analysis, half-open `[started_at, as_of)` in UTC; an exposure at `as_of` is out (rule X1)."""

    started_at: datetime
    as_of: datetime

    def __post_init__(self) -> None:
        if self.started_at.utcoffset() != timedelta(0) or self.as_of.utcoffset() != timedelta(0):
            raise ValueError(f"window: both ends must be UTC, got {self.started_at!r} and {self.as_of!r}")
        if self.as_of < self.started_at:
            raise ValueError(f"window: as_of {self.as_of} lies before started_at {self.started_at}")

    @property
    def days(self) -> float:
        """Length in days."""
        return (self.as_of - self.started_at) / timedelta(days=1)

    @property
    def granularity(self) -> Granularity:
        """Width of its buckets: hourly up to 72 hours, then daily (rule X4)."""
        return Granularity.HOUR if self.as_of - self.started_at <= HOURLY_UP_TO else Granularity.DAY


@dataclass(frozen=True, slots=True)
class SeenExposures:
    """Exposures of one flag in one window, whether an experiment counts them or not; `first_at` is UTC."""

    exposures: int = 0
    identities: int = 0
    first_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FirstExposureCounts:
    """First exposures of one experiment, counted, whatever its policy (rules X2, X3).

    Attributes:
        by_day: identities by the UTC day of their first exposure, sorted; days without any are left out.
        quarantined: those of all days that saw several variants.
        first_at: the earliest first exposure, UTC; None without any.
    """

    by_day: Mapping[date, int] = field(default_factory=dict)
    quarantined: int = 0
    first_at: datetime | None = None

    @property
    def identities(self) -> int:
        """All of them."""
        return sum(self.by_day.values())


@dataclass(frozen=True, slots=True, order=True)
class ExposureBucket:
    """Identities of one variant first exposed in one bucket; `quarantined` ones saw several variants (rule X3)."""

    bucket: datetime
    variant: str
    quarantined: bool
    new_identities: int


@dataclass(frozen=True, slots=True)
class UnlistedExposures:
    """Identities of variants that nobody configured and that are too many to be listed (rule X6).

    Attributes:
        variants: how many these variants are.
        new_identities: first exposed to any of them, by bucket.
    """

    variants: int = 0
    new_identities: Mapping[datetime, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExposuresPoint:
    """One bucket of the series: increments only, nothing derivable."""

    bucket: datetime
    new_identities: dict[str, int]
    unlisted_identities: int = 0


@dataclass(frozen=True, slots=True)
class ExposuresTimeseries:
    """Exposures over time; points are sparse and sorted by bucket."""

    granularity: Granularity
    points: tuple[ExposuresPoint, ...]


@dataclass(frozen=True, slots=True)
class ExposuresSummary:
    """Exposures of one experiment over its window (rule X7)."""

    excluded_identities: int
    timeseries: ExposuresTimeseries
    unlisted_variants: int = 0

    @property
    def identities(self) -> int:
        """Identities counted, over all variants and buckets."""
        points = self.timeseries.points
        return sum(sum(point.new_identities.values()) + point.unlisted_identities for point in points)


def summarise_exposures(
    buckets: Iterable[ExposureBucket], granularity: Granularity, unlisted: UnlistedExposures | None = None
) -> ExposuresSummary:
    """Return the summary of an engine's buckets.

    Quarantined identities appear in `excluded_identities` and nowhere else; under the policy `first` (rule X3) the
    engine flags none.

    Args:
        buckets: of the listed variants, in any order.
        granularity: of the buckets.
        unlisted: what the buckets leave out.
    """
    unlisted = unlisted or UnlistedExposures()
    excluded = 0
    by_bucket: defaultdict[datetime, dict[str, int]] = defaultdict(dict)
    for row in sorted(buckets):
        if row.quarantined:
            excluded += row.new_identities
        else:
            by_bucket[row.bucket][row.variant] = row.new_identities
    points = tuple(
        ExposuresPoint(bucket, by_bucket.get(bucket, {}), unlisted.new_identities.get(bucket, 0))
        for bucket in sorted({*by_bucket, *unlisted.new_identities})
    )
    return ExposuresSummary(excluded, ExposuresTimeseries(granularity, points), unlisted.variants)
