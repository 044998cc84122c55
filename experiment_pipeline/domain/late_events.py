"""Late events: those that arrived, or left, after an experiment's results were final, and change nothing (rule R6)."""

from dataclasses import dataclass
from datetime import datetime

from experiment_pipeline.domain.exposures import Window


@dataclass(frozen=True, slots=True)
class FinalResults:
    """Final results of one phase of an experiment, and up to where late events were looked for.

    Attributes:
        window: of the results; events outside of it would not have counted.
        counted_to: the newest batch whose events are in the results or in the count of late ones.
        is_newest: whether no restart has ended the phase (rule X9).
    """

    experiment_id: int
    key: str
    partition_key: str
    environment_key: str
    feature: str
    window: Window
    counted_to: int
    phase: int = 1
    is_newest: bool = True


@dataclass(frozen=True, slots=True)
class LateEvents:
    """Number of late events of one experiment.

    Attributes:
        exposures: of its flag, dated in the window.
        metric_events: of its metrics, dated in the window, of anybody.
        last_landed_at: when the last of them arrived, UTC; None for none.
        removed: exposures and events that are in the results, and have been removed since (rule E6).
    """

    exposures: int = 0
    metric_events: int = 0
    last_landed_at: datetime | None = None
    removed: int = 0

    @property
    def arrived(self) -> int:
        """The number of those that arrived."""
        return self.exposures + self.metric_events

    def __bool__(self) -> bool:
        """Whether any arrived or left."""
        return self.arrived + self.removed > 0

    def __add__(self, other: "LateEvents") -> "LateEvents":
        """Return the number of both; they have no event in common."""
        landed = [each.last_landed_at for each in (self, other) if each.last_landed_at is not None]
        return LateEvents(
            self.exposures + other.exposures,
            self.metric_events + other.metric_events,
            max(landed, default=None),
            self.removed + other.removed,
        )
