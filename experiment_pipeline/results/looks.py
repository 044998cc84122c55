"""Looks as they are served: what moved since the one before, a line of the ledger, and two looks compared (rule R9)."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired  # pydantic reads no other TypedDict before Python 3.12

from typing_extensions import TypedDict

from experiment_pipeline.domain.looks import Look, Movement
from experiment_pipeline.stats.verdict import Verdict
from experiment_pipeline.times import iso_utc

Payload = Mapping[str, Any]


class RestatedPayload(TypedDict):
    """Events that came late since the look before, and identities that they changed.

    `late_events` came in a batch after that look's data version and are dated before its as-of. `restated_identities`
    are analysed in both looks, with another first exposure, variant or value through such events or removed ones;
    `newly_quarantined` were analysed then and are excluded now. `removed_events` were read then and have been removed
    since (rule E6): their source was read again, or newer rows took their place. `erased` are identities that were
    analysed then and have been erased since, with all their events.
    """

    late_events: int
    restated_identities: int
    newly_quarantined: int
    removed_events: int
    erased: int


class LookPayload(TypedDict):
    """The number of a look among the looks of its phase, and what moved since the one before; of the first, nothing.

    `restated` is null where events are analysed in a warehouse, which does not count it: `new_identities` is the
    difference of both looks' identities then. `code_changed` tells whether another version of the code that decides
    numbers computed the look before.
    """

    number: int
    previous_as_of: str | None
    new_identities: int
    restated: RestatedPayload | None
    code_changed: bool


class VerdictsPayload(TypedDict):
    """The verdicts on one metric, by treatment."""

    metric_id: int
    name: NotRequired[str]
    verdict: dict[str, Verdict]


class LookSummary(TypedDict):
    """One published results payload; `moved` is null of those that older versions published.

    `decision` is the action on the experiment, null without one. `planned_looks` has, by treatment, the number of the
    planned look of the primary metric that was taken at it; a treatment without one is left out.
    """

    phase: int
    number: int
    as_of: str
    data_version: int
    code_version: str
    computed_at: str
    identities: int
    trustworthy: bool | None
    verdicts: list[VerdictsPayload]
    decision: NotRequired[str | None]
    planned_looks: NotRequired[dict[str, int]]
    moved: LookPayload | None


class ArmChange(TypedDict):
    """One variant of a metric in two looks; null where a look does not have it."""

    n: tuple[int | None, int | None]
    sum: tuple[float | None, float | None]


class ComparisonChange(TypedDict):
    """One treatment on a metric in two looks; null where a look does not have it, or where it is withheld."""

    effect: tuple[float | None, float | None]
    lift: tuple[float | None, float | None]
    chance_to_win: tuple[float | None, float | None]
    verdict: tuple[Verdict | None, Verdict | None]


class MetricChange(TypedDict):
    """One metric in two looks: every pair is the earlier look's and the later one's."""

    metric_id: int
    name: NotRequired[str]
    variants: dict[str, ArmChange]
    treatments: dict[str, ComparisonChange]


class MovedPayload(TypedDict):
    """Movement between two looks, summed over the looks after the earlier one.

    An identity that is restated in two of them counts twice. Null where a look is of an older version, which did not
    count it.
    """

    new_identities: int | None
    late_events: int | None
    restated_identities: int | None
    newly_quarantined: int | None
    removed_events: int | None


class LooksDiff(TypedDict):
    """Two looks of one experiment, compared."""

    earlier: LookSummary
    later: LookSummary
    code_changed: bool
    moved: MovedPayload
    metrics: list[MetricChange]


def look_payload(movement: Movement) -> LookPayload:
    """Return the number of a look, and what moved, JSON-ready."""
    previous = movement.previous_as_of
    return {
        "number": movement.number,
        "previous_as_of": None if previous is None else iso_utc(previous),
        "new_identities": movement.new_identities,
        "restated": _restated(movement) if movement.is_compared else None,
        "code_changed": movement.code_changed,
    }


def _restated(movement: Movement) -> RestatedPayload:
    return {
        "late_events": movement.late_events,
        "restated_identities": movement.restated_identities,
        "newly_quarantined": movement.newly_quarantined,
        "removed_events": movement.removed_events,
        "erased": movement.erased,
    }


def look_summary(look: Look) -> LookSummary:
    """Return one line of the ledger."""
    return {
        "phase": look.phase,
        "number": look.number,
        "as_of": iso_utc(look.as_of),
        "data_version": look.data_version,
        "code_version": look.code_version,
        "computed_at": iso_utc(look.computed_at),
        "identities": look.identities,
        "trustworthy": look.payload["trustworthy"],
        "verdicts": [_verdicts(metric) for metric in look.payload["metrics"]],
        "decision": (look.payload.get("decision") or {}).get("action"),
        "planned_looks": _planned_looks(look.payload["metrics"], iso_utc(look.as_of)),
        "moved": look.payload.get("look"),
    }


def _planned_looks(metrics: Sequence[Payload], as_of: str) -> dict[str, int]:
    """Return the numbers of the planned looks that were taken at a moment, by treatment."""
    return {
        treatment: each["number"]
        for metric in metrics
        for treatment, planned in metric.get("planned_looks", {}).items()
        for each in planned["looks"]
        if each["as_of"] == as_of
    }


def looks_diff(earlier: Look, after: Sequence[Look]) -> LooksDiff:
    """Return how two looks differ.

    Args:
        earlier: the first of the two.
        after: every look after it, up to the other one, in their order; not empty.
    """
    later = after[-1]
    was, now = _by_id(earlier), _by_id(later)
    return {
        "earlier": look_summary(earlier),
        "later": look_summary(later),
        "code_changed": earlier.code_version != later.code_version,
        "moved": _moved(after),
        "metrics": [_metric_change(number, was.get(number), now.get(number)) for number in {**was, **now}],
    }


def _verdicts(metric: Payload) -> VerdictsPayload:
    named: VerdictsPayload = {"metric_id": metric["metric_id"], "verdict": metric["verdict"]}
    if "name" in metric:  # the first version's payloads have none
        named["name"] = metric["name"]
    return named


def _by_id(look: Look) -> dict[int, Payload]:
    return {metric["metric_id"]: metric for metric in look.payload["metrics"]}


def _moved(looks: Sequence[Look]) -> MovedPayload:
    told = [look.payload.get("look") for look in looks]
    restated = [None if each is None else each["restated"] for each in told]
    return {
        "new_identities": _sum(told, "new_identities"),
        "late_events": _sum(restated, "late_events"),
        "restated_identities": _sum(restated, "restated_identities"),
        "newly_quarantined": _sum(restated, "newly_quarantined"),
        "removed_events": _sum(restated, "removed_events"),
    }


def _sum(counts: Sequence[Mapping[str, Any] | None], name: str) -> int | None:
    numbers = [each[name] for each in counts if each is not None]
    return sum(numbers) if len(numbers) == len(counts) else None


def _metric_change(number: int, was: Payload | None, now: Payload | None) -> MetricChange:
    shown = now or was or {}
    change: MetricChange = {
        "metric_id": number,
        "variants": {
            key: {
                "n": (_at(was, "variants", key, "n"), _at(now, "variants", key, "n")),
                "sum": (_at(was, "variants", key, "sum"), _at(now, "variants", key, "sum")),
            }
            for key in shown["variants"]
        },
        "treatments": {key: _comparison_change(key, was, now) for key in shown["verdict"]},
    }
    if "name" in shown:
        change["name"] = shown["name"]
    return change


def _comparison_change(key: str, was: Payload | None, now: Payload | None) -> ComparisonChange:
    return {
        "effect": (_at(was, "effect", key, "value"), _at(now, "effect", key, "value")),
        "lift": (_at(was, "inference", key, "lift"), _at(now, "inference", key, "lift")),
        "chance_to_win": (_at(was, "effect", key, "chance_to_win"), _at(now, "effect", key, "chance_to_win")),
        "verdict": (_at(was, "verdict", key), _at(now, "verdict", key)),
    }


def _at(metric: Payload | None, *path: str) -> Any:
    """Return what stands at a path in a metric's payload; None where anything on the way is not there."""
    found: Any = metric
    for name in path:
        found = None if found is None else found.get(name)
    return found
