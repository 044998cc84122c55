"""One line of a list of experiments: where it stands, without its numbers."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import SEVERITIES, StoredHealth
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.decision import decision_view
from experiment_pipeline.pages.quantities import readable, shown
from experiment_pipeline.pages.tones import SEVERITY_TONES, VERDICT_TONES, Tone
from experiment_pipeline.results.payload import ResultsPayload

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ListedVerdict:
    """The verdict on one treatment by the primary metric, in words."""

    treatment: str
    words: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class ListedExperiment:
    """One experiment of a list.

    Attributes:
        days: whole days since the start of the phase, up to its end; None before it started.
        health: "ok", or the worst severity with the number of such findings ("2 errors"); empty before any results.
        decision: "ship b"; empty without results, or without any metric.
        metric: the name of the primary metric; empty without one.
        verdicts: of the primary metric, one a treatment; none before any results.
    """

    key: str
    name: str
    environment: str
    status: str
    days: int | None
    health: str
    health_tone: Tone
    decision: str
    decision_tone: Tone
    metric: str
    verdicts: tuple[ListedVerdict, ...]


def listed_experiment(
    experiment: Experiment, results: ResultsPayload | None, health: StoredHealth | None, now: datetime
) -> ListedExperiment:
    """Return one line of a list of experiments.

    Args:
        experiment: in its newest phase.
        results: as they were published last; None before that.
        health: the findings of these results.
        now: UTC.
    """
    decision = decision_view(None if results is None else results.get("decision"))
    worst = _worst(health)
    return ListedExperiment(
        key=experiment.key,
        name=printable(experiment.name),
        environment=experiment.environment_key,
        status=experiment.status.value,
        days=_days(experiment, now),
        health=_health_words(health, worst),
        health_tone=SEVERITY_TONES.get(worst, Tone.NEUTRAL),
        decision="" if decision is None else decision.action,
        decision_tone=Tone.NEUTRAL if decision is None else decision.tone,
        metric=printable(experiment.metrics[0].metric.name) if experiment.metrics else "",
        verdicts=() if results is None else _verdicts(results),
    )


def _days(experiment: Experiment, now: datetime) -> int | None:
    if experiment.started_at is None:
        return None
    return max(0, ((experiment.ended_at or now) - experiment.started_at) // DAY)


def _worst(health: StoredHealth | None) -> str:
    """Return the worst severity of the findings; empty without any."""
    found = {finding["severity"] for finding in (() if health is None else health.findings)}
    return next((severity for severity in SEVERITIES if severity in found), "")


def _health_words(health: StoredHealth | None, worst: str) -> str:
    if health is None or worst in ("", "ok"):
        return worst
    count = sum(finding["severity"] == worst for finding in health.findings)
    return f"{count} {worst}{'s' if count > 1 else ''}"


def _verdicts(results: ResultsPayload) -> tuple[ListedVerdict, ...]:
    return tuple(
        ListedVerdict(shown(treatment), readable(verdict), VERDICT_TONES.get(verdict, Tone.NEUTRAL))
        for metric in results["metrics"][:1]
        for treatment, verdict in metric["verdict"].items()
    )
