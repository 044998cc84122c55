"""Thresholds of health checks that an installation may set; the reason of each stands beside its setting."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiment_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The bounds beyond which health checks warn.

    Attributes:
        quarantined: share of the exposed identities that saw several variants.
        traffic_drop: share of the weakest day of the week before.
        uncovered_start: time from the start to the first exposure.
        event_age: time since the newest event arrived.
        late: share of events that landed late.
        late_after: time from an event to its landing.
        before_exposure: share of a metric's events that came in the hour before the exposure.
        rejected: share of the environment's records that were rejected.
        duplicates: share of the environment's events that had been delivered before.
    """

    quarantined: float = 0.02
    traffic_drop: float = 0.5
    uncovered_start: timedelta = timedelta(days=1)
    event_age: timedelta = timedelta(days=1)
    late: float = 0.01
    late_after: timedelta = timedelta(days=2)
    before_exposure: float = 0.1
    rejected: float = 0.05
    duplicates: float = 0.2

    @classmethod
    def of(cls, settings: "Settings") -> "Thresholds":
        """Return the thresholds of an installation."""
        return cls(
            quarantined=settings.health_quarantined_share,
            traffic_drop=settings.health_traffic_drop,
            uncovered_start=settings.health_uncovered_start,
            event_age=settings.health_event_age,
            late=settings.health_late_share,
            late_after=settings.health_late_after,
            before_exposure=settings.health_before_exposure_share,
            rejected=settings.health_rejected_share,
            duplicates=settings.health_duplicate_share,
        )


SHIPPED_THRESHOLDS = Thresholds()
