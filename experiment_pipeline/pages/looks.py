"""Looks as pages show them: every published result, and what moved since the one before (rules C7, R9)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.looks import Look
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.metrics import Estimate, verdict_interval
from experiment_pipeline.pages.quantities import WITHHELD, readable, shown
from experiment_pipeline.results.looks import LookPayload, LookSummary, look_summary
from experiment_pipeline.results.payload import ResultsPayload

MOVED = {
    "new_identities": "new identities",
    "late_events": "late events",
    "restated_identities": "restated identities",
    "newly_quarantined": "newly quarantined identities",
    "removed_events": "removed events",
}
OTHER_CODE = "other code than before"


@dataclass(frozen=True, slots=True)
class MovedView:
    """Movement since the look before.

    Attributes:
        number: of the look.
        since: the moment of the look before; None of the first one.
        counts: by their words (`MOVED`); all but the first are 0 of the first look.
        code_changed: whether another version of the code computed the look before.
    """

    number: int
    since: datetime | None
    counts: Mapping[str, int]
    code_changed: bool

    @property
    def summary(self) -> str:
        """The movement in one sentence."""
        if self.since is None:
            return f"look {self.number}, the first one"
        counts = ", ".join(f"{count:,} {words}" for words, count in self.counts.items() if count)
        code = f"; {OTHER_CODE}" if self.code_changed else ""
        return f"look {self.number}; since {self.since:%Y-%m-%d %H:%M} UTC: {counts or 'nothing moved'}{code}"


@dataclass(frozen=True, slots=True)
class LookView:
    """One published result. Texts are for tables; what an older version did not count is `WITHHELD`.

    Attributes:
        planned: the planned look that it is: "planned 2"; empty where it is none.
        code: whether other code computed the look before; empty where not.
        decision: the action on the experiment.
        verdicts: of all metrics, or that the split is broken.
        primary: by treatment, the number that the primary metric's verdict is about, with its interval at every look;
            a treatment without one is left out.
    """

    phase: int
    number: int
    as_of: datetime
    data_version: int
    identities: str
    new: str
    late: str
    restated: str
    quarantined: str
    planned: str
    code: str
    decision: str
    verdicts: str
    primary: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class PlannedLookView:
    """A planned look at one treatment: the effect in standard errors (`z`), and its boundary, or None for none."""

    treatment: str
    number: int
    as_of: datetime
    z: float
    boundary: float | None
    crossed: bool


def look_view(experiment: Experiment, look: Look) -> LookView:
    """Return one published result."""
    summary = look_summary(look)
    moved = summary["moved"]
    restated = moved and moved["restated"]
    decision = summary.get("decision")
    return LookView(
        phase=look.phase,
        number=look.number,
        as_of=look.as_of,
        data_version=look.data_version,
        identities=count_words(look.identities),
        new=count_words(moved and moved["new_identities"]),
        late=count_words(restated and restated["late_events"]),
        restated=count_words(restated and restated["restated_identities"]),
        quarantined=count_words(restated and restated["newly_quarantined"]),
        planned=_planned(summary),
        code=OTHER_CODE if moved and moved["code_changed"] else "",
        decision=WITHHELD if decision is None else readable(decision),
        verdicts=_verdicts(experiment, summary),
        primary=_primary(look),
    )


def moved_view(look: LookPayload | None) -> MovedView | None:
    """Return what moved since the look before; None of a payload that an older version stored."""
    if look is None:
        return None
    since, counts = look["previous_as_of"], {**look, **(look["restated"] or {})}
    return MovedView(
        number=look["number"],
        since=None if since is None else datetime.fromisoformat(since),
        counts={words: int(str(counts[name])) for name, words in MOVED.items() if name in counts},
        code_changed=look["code_changed"],
    )


def planned_look_views(results: ResultsPayload) -> tuple[PlannedLookView, ...]:
    """Return the planned looks at every treatment on the primary metric; none where the design plans none."""
    return tuple(
        PlannedLookView(
            treatment=shown(treatment),
            number=each["number"],
            as_of=datetime.fromisoformat(each["as_of"]),
            z=each["z"],
            boundary=each["boundary"],
            crossed=each["crossed"],
        )
        for metric in results["metrics"]
        for treatment, planned in metric.get("planned_looks", {}).items()
        for each in planned["looks"]
    )


def metric_name(experiment: Experiment, metric: Mapping[str, object]) -> str:
    """Return the name of a metric of a look, which the first version's payloads do not have."""
    named = {each.metric.id: each.metric.name for each in experiment.metrics}
    number = int(str(metric["metric_id"]))
    return printable(str(metric.get("name") or named.get(number, f"metric {number}")))


def count_words(count: int | None) -> str:
    """Return a count; `WITHHELD` where an older version did not count."""
    return WITHHELD if count is None else f"{count:,}"


def _planned(look: LookSummary) -> str:
    """Return which of the looks that the design plans this one is; of several treatments the numbers that it took."""
    numbers = sorted({f"{number}" for number in look.get("planned_looks", {}).values()})
    return f"planned {' and '.join(numbers)}" if numbers else ""


def _verdicts(experiment: Experiment, look: LookSummary) -> str:
    if look["trustworthy"] is False:
        return "not trustworthy: the split is broken"
    return "; ".join(
        f"{metric_name(experiment, metric)}: {', '.join(_by_treatment(metric['verdict']))}"
        for metric in look["verdicts"]
    )


def _by_treatment(verdicts: Mapping[str, str]) -> Iterator[str]:
    several = len(verdicts) > 1
    for key, verdict in verdicts.items():
        yield f"{shown(key)} {readable(verdict)}" if several else readable(verdict)


def _primary(look: Look) -> dict[str, Estimate]:
    """Return the interval of each treatment on the first metric of a look."""
    found = {
        shown(treatment): verdict_interval(metric, treatment)
        for metric in look.payload["metrics"][:1]
        for treatment in metric["verdict"]
    }
    return {treatment: interval for treatment, interval in found.items() if interval is not None}
