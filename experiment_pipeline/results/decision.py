"""The decision: what to do with each treatment now, by a short list of rules of which the first that holds fires (C10).

docs/statistics.md has the same rules in plain words, with their errors.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.metrics import Direction
from experiment_pipeline.results.model import Comparison, ExperimentResults, MetricResults, Progress
from experiment_pipeline.results.reasons import in_words
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.verdict import Verdict

PLANNED_SAMPLES = 1.6  # in which the verdict that holds at every refresh reaches the power that is planned for


class Action(StrEnum):
    """Things to do with a treatment: `inconclusive` says that the time is over and neither was shown."""

    SHIP = "ship"
    ROLLBACK = "rollback"
    KEEP_RUNNING = "keep_running"
    INCONCLUSIVE = "inconclusive"


class Rule(StrEnum):
    """The rules, in their order; docs/statistics.md has them by these numbers."""

    GUARDRAIL_HARMED = "1_guardrail_harmed"
    SPLIT_NOT_TRUSTWORTHY = "2_split_not_trustworthy"
    HEALTH_ERROR = "3_health_error"
    PRIMARY_LOSING = "4_primary_losing"
    READINGS_DISAGREE = "5_readings_disagree"
    GUARDRAIL_NOT_OK = "6_guardrail_not_ok"
    PRIMARY_WINNING = "7_primary_winning"
    TIME_IS_OVER = "8_time_is_over"
    EVIDENCE_ACCRUES = "9_evidence_accrues"


@dataclass(frozen=True, slots=True)
class TreatmentDecision:
    """The decision on one treatment: its rule, and why in one sentence."""

    action: Action
    rule: Rule
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on an experiment.

    treatment: that is shipped; None unless one is
    """

    action: Action
    treatment: str | None
    rule: Rule
    why: str
    by_treatment: dict[str, TreatmentDecision]


def decide_experiment(
    experiment: Experiment,
    results: ExperimentResults,
    health_errors: Collection[str] = (),
    contradicted: Collection[str] = (),
) -> Decision | None:
    """Return what to do with an experiment, or None where it has no primary metric.

    One treatment that may be shipped is enough, and of several it is the one with the best effect. Only where all are
    rolled back is the experiment; it keeps running while any of them does.

    Args:
        experiment: its metrics and design, and whether it has ended.
        results: its verdicts.
        health_errors: the titles of health findings of severity `error`.
        contradicted: treatments for which two readings of the primary metric disagree.
    """
    if not results.metrics:
        return None
    primary, *others = results.metrics
    by_treatment = {
        each.treatment: _decide(
            _Subject(each, primary, others, results.split.trustworthy),
            is_over=experiment.ended_at is not None or _is_planned_end(each, primary),
            health_errors=health_errors,
            contradicted=each.treatment in contradicted,
        )
        for each in primary.comparisons
    }
    shipped = [each for each in primary.comparisons if by_treatment[each.treatment].action is Action.SHIP]
    if shipped:
        best = max(shipped, key=lambda each: _gain(each, primary.attached.better_direction))
        return _of_experiment(by_treatment, best.treatment)
    actions = {each.action for each in by_treatment.values()}
    first = next(
        (action for action in (Action.KEEP_RUNNING, Action.INCONCLUSIVE) if action in actions), Action.ROLLBACK
    )
    return _of_experiment(by_treatment, next(key for key, each in by_treatment.items() if each.action is first))


def _of_experiment(by_treatment: dict[str, TreatmentDecision], treatment: str) -> Decision:
    found = by_treatment[treatment]
    shipped = treatment if found.action is Action.SHIP else None
    why = found.why if len(by_treatment) == 1 else f"{treatment}: {found.why}"
    return Decision(found.action, shipped, found.rule, why, by_treatment)


@dataclass(frozen=True, slots=True)
class _Subject:
    """One treatment: its comparison on the primary metric, and the other metrics."""

    comparison: Comparison
    primary: MetricResults
    others: Collection[MetricResults]
    trustworthy: bool | None

    @property
    def name(self) -> str:
        """The name of the primary metric."""
        return self.primary.attached.metric.name

    @property
    def is_shown_within_margin(self) -> bool:
        """Whether the primary metric is a guardrail with a margin that the treatment is shown to keep."""
        return self.primary.attached.margin is not None and self.comparison.verdict is Verdict.OK

    def guardrails(self) -> Iterator[tuple[str, Verdict]]:
        """Yield the name and the verdict of every guardrail, the primary metric among them where it is one."""
        for metric in (self.primary, *self.others):
            if metric.attached.expected_direction.is_guardrail:
                yield metric.attached.metric.name, self._verdict(metric)

    def _verdict(self, metric: MetricResults) -> Verdict:
        treatment = self.comparison.treatment
        return next(each.verdict for each in metric.comparisons if each.treatment == treatment)


def _decide(
    subject: _Subject, *, is_over: bool, health_errors: Collection[str], contradicted: bool
) -> TreatmentDecision:
    """Return the decision of the first rule that holds."""
    waiting = Action.INCONCLUSIVE if is_over else Action.KEEP_RUNNING
    return next(_rules(subject, waiting, health_errors, contradicted=contradicted))


def _rules(
    subject: _Subject, waiting: Action, health_errors: Collection[str], *, contradicted: bool
) -> Iterator[TreatmentDecision]:
    """Yield the decision of every rule that holds, in their order; what holds a decision back waits for the end."""
    name, verdict, guardrails = subject.name, subject.comparison.verdict, dict(subject.guardrails())
    if harmed := [each for each, said in guardrails.items() if said is Verdict.HARMED]:
        yield TreatmentDecision(Action.ROLLBACK, Rule.GUARDRAIL_HARMED, f"It is shown to harm {_listed(harmed)}.")
    if subject.trustworthy is False:
        why = "The split of traffic is not as configured."
        yield TreatmentDecision(waiting, Rule.SPLIT_NOT_TRUSTWORTHY, why)
    if subject.trustworthy is None:
        yield TreatmentDecision(waiting, Rule.SPLIT_NOT_TRUSTWORTHY, "The split of traffic could not be tested.")
    if health_errors:
        why = f"A health check has found an error: {_listed(health_errors)}."
        yield TreatmentDecision(waiting, Rule.HEALTH_ERROR, why)
    if verdict is Verdict.LOSING:
        yield TreatmentDecision(Action.ROLLBACK, Rule.PRIMARY_LOSING, f"It is shown to be worse on {name}.")
    if verdict is Verdict.WINNING or subject.is_shown_within_margin:
        yield from _rules_of_shipping(subject, waiting, guardrails, contradicted=contradicted)
    yield _undecided(subject, waiting)


def _undecided(subject: _Subject, waiting: Action) -> TreatmentDecision:
    """Return that neither is shown, or that the primary metric cannot be read."""
    name, unread = subject.name, subject.comparison.unread
    if waiting is Action.INCONCLUSIVE:
        told = (
            f"the metric {name} cannot be read: {in_words(unread)}"
            if unread
            else f"neither better nor worse is shown on {name}"
        )
        return TreatmentDecision(waiting, Rule.TIME_IS_OVER, f"The time is over, and {told}.")
    why = f"Neither better nor worse is shown on {name} so far."
    if unread:
        why = f"The metric {name} cannot be read yet: {in_words(unread)}."
    return TreatmentDecision(Action.KEEP_RUNNING, Rule.EVIDENCE_ACCRUES, why)


def _rules_of_shipping(
    subject: _Subject, waiting: Action, guardrails: Mapping[str, Verdict], *, contradicted: bool
) -> Iterator[TreatmentDecision]:
    """Yield the decisions on a treatment that has won on the primary metric."""
    how = "within the margin" if subject.is_shown_within_margin else "better"
    won = f"It is shown to be {how} on {subject.name}"
    if contradicted:
        why = f"{won}, but another reading of that metric says the opposite."
        yield TreatmentDecision(waiting, Rule.READINGS_DISAGREE, why)
    if not_ok := [each for each, said in guardrails.items() if said is not Verdict.OK]:
        yield TreatmentDecision(waiting, Rule.GUARDRAIL_NOT_OK, f"{won}, but not shown to be ok on {_listed(not_ok)}.")
    yield TreatmentDecision(Action.SHIP, Rule.PRIMARY_WINNING, f"{won}, and no guardrail is harmed.")


def _is_planned_end(comparison: Comparison, primary: MetricResults) -> bool:
    """Return whether the design's last look was taken, or its evidence for a verdict at every refresh has accrued."""
    if comparison.planned is not None and comparison.planned.decide:
        return comparison.planned.are_over
    progress = primary.progress.get(comparison.treatment)
    return isinstance(progress, Progress) and progress.information_fraction >= PLANNED_SAMPLES


def _gain(comparison: Comparison, better: Direction) -> float:
    if isinstance(comparison.deciding, NotComputable):
        return 0.0
    value = comparison.deciding.effect.value
    return -value if better is Direction.DOWN else value


def _listed(names: Collection[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
