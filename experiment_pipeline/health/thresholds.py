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
    """

    quarantined: float = 0.02
    traffic_drop: float = 0.5
    uncovered_start: timedelta = timedelta(days=1)

    @classmethod
    def of(cls, settings: "Settings") -> "Thresholds":
        """Return the thresholds of an installation."""
        return cls(
            quarantined=settings.health_quarantined_share,
            traffic_drop=settings.health_traffic_drop,
            uncovered_start=settings.health_uncovered_start,
        )


SHIPPED_THRESHOLDS = Thresholds()
