"""Who was exposed to what, and when first, and who of them is analysed: rules X1-X7, M15, M19 and M23."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from tests.reference.conditions import meets_all, text_of
from tests.reference.events import EXPOSURE, LONGEST_NAME, Event
from tests.reference.metrics import Condition, Events, Metric

Role = Literal["control", "treatment", "holdout"]


@dataclass(frozen=True)
class Variant:
    """One arm; `percentage_allocation` may be None for control alone (rule S1)."""

    key: str | None
    role: Role
    percentage_allocation: float | None = None


@dataclass(frozen=True)
class Experiment:
    """Everything that one refresh of one experiment depends on, the events aside.

    `dimensions` is the path of a trait by the dimension's name, `cross` names pairs of dimensions, and `entry` are the
    events from whose first one on an identity is analysed (rule M19). `earlier_phases` are the windows of the phases
    before this one, whose shares and window are the variants' and its own (rule X9).
    """

    environment_key: str
    feature: str
    variants: Sequence[Variant]
    metrics: Sequence[Metric]
    started_at: datetime
    as_of: datetime
    data_version: int
    multiple_exposures: Literal["exclude", "first"] = "exclude"
    ignored_variants: Sequence[str] = ()
    dimensions: dict[str, str] = field(default_factory=dict)
    cross: Sequence[tuple[str, str]] = ()
    entry: Events | None = None
    only: tuple[Condition, ...] = ()
    exclude_identifiers: Sequence[str] = ()
    earlier_phases: Sequence[tuple[datetime, datetime]] = ()

    @property
    def phase(self) -> int:
        """The number of this phase, from 1 on."""
        return len(self.earlier_phases) + 1

    @property
    def compared_keys(self) -> list[str]:
        """Keys of control and the treatments, in their order (rule X6)."""
        return [v.key for v in self.variants if v.key is not None and v.role != "holdout"]

    def keys_of(self, role: Role) -> list[str]:
        """Keys of the variants of a role, in their order."""
        return [v.key for v in self.variants if v.key is not None and v.role == role]


@dataclass(frozen=True)
class FirstExposure:
    """An identity's first exposure (rule X2); `excluded` follows the policy (rule X3).

    `event` is the exposure itself: of several at that time in that variant, the one with the smallest hash (rule M15).
    """

    at: datetime
    variant: str
    excluded: bool
    event: Event | None = field(default=None, compare=False)

    def text_of(self, trait: str) -> str | None:
        """Rule M15: a dimension's value."""
        return None if self.event is None else text_of(self.event, f"traits.{trait}")


@dataclass(frozen=True)
class Analysed:
    """An identity that is analysed, and from when on its events count."""

    first: FirstExposure
    start: datetime


def first_exposures(events: Iterable[Event], experiment: Experiment) -> dict[str, FirstExposure]:
    """The first exposure of every identity in the window."""
    seen: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        if (
            event.environment_key == experiment.environment_key
            and event.event == EXPOSURE
            and event.feature_name == experiment.feature
            and experiment.started_at <= event.timestamp < experiment.as_of
        ):
            seen[event.identifier].append(event)

    firsts = {}
    for identity, exposures in seen.items():
        first = min(exposures, key=lambda event: (event.timestamp, event.value, event.hash))
        assert first.value is not None
        several = len({event.value for event in exposures}) > 1
        excluded = several and experiment.multiple_exposures == "exclude"
        firsts[identity] = FirstExposure(first.timestamp, first.value, excluded, first)
    return firsts


def remaining(firsts: dict[str, FirstExposure], experiment: Experiment) -> dict[str, FirstExposure]:
    """Rules X3 and M23: those whom the split is tested on."""
    return {
        identity: first
        for identity, first in firsts.items()
        if not first.excluded
        and identity not in experiment.exclude_identifiers
        and (not experiment.only or (first.event is not None and meets_all(first.event, experiment.only)))
    }


def analysed(events: Iterable[Event], firsts: dict[str, FirstExposure], experiment: Experiment) -> dict[str, Analysed]:
    """Rule M19: of those who remain everybody, or those with an event of entry, from their first one on."""
    who = remaining(firsts, experiment)
    if experiment.entry is None:
        return {identity: Analysed(first, first.at) for identity, first in who.items()}
    entered: defaultdict[str, list[datetime]] = defaultdict(list)
    for event in events:
        if (
            event.environment_key == experiment.environment_key
            and event.identifier in who
            and event.event == experiment.entry.name
            and who[event.identifier].at <= event.timestamp < experiment.as_of
            and meets_all(event, experiment.entry.where)
        ):
            entered[event.identifier].append(event.timestamp)
    return {identity: Analysed(who[identity], min(times)) for identity, times in entered.items()}


def saw_another_variant(events: Iterable[Event], firsts: dict[str, FirstExposure], experiment: Experiment) -> int:
    """Rule X11: those who are analysed, and were exposed to another variant in an earlier phase."""
    events = list(events)
    seen: defaultdict[str, set[str | None]] = defaultdict(set)
    for event in events:
        is_of_phase = any(start <= event.timestamp < end for start, end in experiment.earlier_phases)
        is_exposure = event.event == EXPOSURE and event.feature_name == experiment.feature
        if is_of_phase and is_exposure and event.environment_key == experiment.environment_key:
            seen[event.identifier].add(event.value)
    who = analysed(events, firsts, experiment)
    return sum(bool(seen[identity] - {each.first.variant}) for identity, each in who.items())


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
        "phase": experiment.phase,
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
