"""Who was exposed to what, and when first: rules X1-X7."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from tests.reference.events import EXPOSURE, LONGEST_NAME, Event

Role = Literal["control", "treatment", "holdout"]
Aggregation = Literal["occurrence", "count", "sum", "mean"]
Direction = Literal["up", "down", "informational"]
Expected = Literal["increase", "decrease", "not_increase", "not_decrease"]


@dataclass(frozen=True)
class Variant:
    """One arm; `percentage_allocation` may be None for control alone (rule S1)."""

    key: str | None
    role: Role
    percentage_allocation: float | None = None


@dataclass(frozen=True)
class Metric:
    """Rule M1."""

    id: int
    event: str
    aggregation: Aggregation
    direction: Direction = "up"
    window: timedelta | None = None
    expected: Expected = "increase"

    @property
    def lower_is_better(self) -> bool:
        """A guardrail's side is its own; of others it is the metric's, and the expected one where it has none."""
        if self.expected.startswith("not_"):
            return self.expected == "not_increase"
        return self.direction == "down" or (self.direction == "informational" and self.expected == "decrease")


@dataclass(frozen=True)
class Experiment:
    """Everything that one refresh of one experiment depends on, the events aside."""

    environment_key: str
    feature: str
    variants: Sequence[Variant]
    metrics: Sequence[Metric]
    started_at: datetime
    as_of: datetime
    data_version: int
    multiple_exposures: Literal["exclude", "first"] = "exclude"
    ignored_variants: Sequence[str] = ()

    @property
    def compared_keys(self) -> list[str]:
        """Keys of control and the treatments, in their order (rule X6)."""
        return [v.key for v in self.variants if v.key is not None and v.role != "holdout"]

    def keys_of(self, role: Role) -> list[str]:
        """Keys of the variants of a role, in their order."""
        return [v.key for v in self.variants if v.key is not None and v.role == role]


@dataclass(frozen=True)
class FirstExposure:
    """An identity's entry into the experiment (rule X2); `excluded` follows the policy (rule X3)."""

    at: datetime
    variant: str
    excluded: bool


def first_exposures(events: Iterable[Event], experiment: Experiment) -> dict[str, FirstExposure]:
    """The first exposure of every identity in the window."""
    seen: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for event in events:
        if (
            event.environment_key == experiment.environment_key
            and event.event == EXPOSURE
            and event.feature_name == experiment.feature
            and experiment.started_at <= event.timestamp < experiment.as_of
        ):
            assert event.value is not None
            seen[event.identifier].append((event.timestamp, event.value))

    firsts = {}
    for identity, exposures in seen.items():
        at, variant = min(exposures)
        several = len({value for _, value in exposures}) > 1
        firsts[identity] = FirstExposure(at, variant, several and experiment.multiple_exposures == "exclude")
    return firsts


def exposures_payload(firsts: dict[str, FirstExposure], experiment: Experiment) -> dict[str, Any]:
    """Rules X4, X6 and X7."""
    listed = listed_variants(firsts, experiment)
    hourly = experiment.as_of - experiment.started_at <= timedelta(hours=72)
    points: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    unlisted: Counter[datetime] = Counter()
    for first in firsts.values():
        if not first.excluded:
            hour = first.at.replace(minute=0, second=0, microsecond=0)
            bucket = hour if hourly else hour.replace(hour=0)
            points[bucket].update([first.variant] if first.variant in listed else [])
            unlisted[bucket] += first.variant not in listed
    others = {first.variant for first in firsts.values() if not first.excluded} - listed
    return {
        **({"unlisted_variants": len(others)} if others else {}),
        "excluded_identities": sum(first.excluded for first in firsts.values()),
        "timeseries": {
            "granularity": "hour" if hourly else "day",
            "points": [
                {
                    "bucket": bucket.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "new_identities": dict(points[bucket]),
                    **({"unlisted_identities": unlisted[bucket]} if unlisted[bucket] else {}),
                }
                for bucket in sorted(points)
            ],
        },
    }


def listed_variants(firsts: dict[str, FirstExposure], experiment: Experiment) -> set[str]:
    """Rule X6: every configured variant, and of the others the twenty largest with a name that a variant may have."""
    configured = {variant.key for variant in experiment.variants if variant.key is not None}
    sizes = Counter(first.variant for first in firsts.values() if not first.excluded)
    others = [variant for variant in sizes if variant not in configured and len(variant) <= LONGEST_NAME]
    return configured | set(sorted(others, key=lambda variant: (-sizes[variant], variant))[:20])
