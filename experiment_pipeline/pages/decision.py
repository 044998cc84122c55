"""The decision as pages show it: what to do, by which rule, and why (rule C10)."""

from collections.abc import Mapping
from dataclasses import dataclass

from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.quantities import readable, shown
from experiment_pipeline.pages.tones import ACTION_TONES, Tone
from experiment_pipeline.results.decision import Rule
from experiment_pipeline.results.payload import DecisionPayload, TreatmentDecisionPayload

RULES: Mapping[str, str] = {  # docs/statistics.md has them as a table
    Rule.GUARDRAIL_HARMED: "A treatment that is shown to harm a guardrail is rolled back, whatever else it does.",
    Rule.SPLIT_NOT_TRUSTWORTHY: "While the split is not as configured, or could not be tested, nothing is decided.",
    Rule.HEALTH_ERROR: "While a health check finds an error, nothing is decided.",
    Rule.PRIMARY_LOSING: "A treatment that is shown to be worse on the primary metric is rolled back.",
    Rule.READINGS_DISAGREE: "A winner is held back while another reading of the primary metric says the opposite.",
    Rule.GUARDRAIL_NOT_OK: "A winner is held back until every guardrail is ok.",
    Rule.PRIMARY_WINNING: "A treatment that wins on the primary metric, with every guardrail ok, is shipped.",
    Rule.TIME_IS_OVER: "The time that was planned is over, and neither better nor worse was shown.",
    Rule.EVIDENCE_ACCRUES: "Neither better nor worse is shown yet: the evidence still grows.",
}


@dataclass(frozen=True, slots=True)
class DecisionView:
    """The thing to do with the experiment, or with one of its treatments.

    Attributes:
        subject: the treatment that it is about, cut to fit a line; empty of the experiment.
        action: "ship b", "rollback", "keep running" or "inconclusive".
        why: one sentence.
        rule: its number and name: "7 primary winning".
        rule_in_words: what the rule says; empty of a rule that this version does not know.
        by_treatment: the decision on each treatment, where there are several.
    """

    subject: str
    action: str
    tone: Tone
    why: str
    rule: str
    rule_in_words: str
    by_treatment: tuple["DecisionView", ...] = ()


def decision_view(decision: DecisionPayload | None) -> DecisionView | None:
    """Return the decision; None of an older version's payload and without any metric."""
    if decision is None:
        return None
    several = decision["by_treatment"] if len(decision["by_treatment"]) > 1 else {}
    return _view(decision, "", decision["treatment"], tuple(_view(each, key) for key, each in several.items()))


def _view(
    of: DecisionPayload | TreatmentDecisionPayload,
    subject: str,
    shipped: str | None = None,
    by_treatment: tuple[DecisionView, ...] = (),
) -> DecisionView:
    action = readable(of["action"])
    return DecisionView(
        subject=shown(subject),
        action=action if shipped is None else f"{action} {shown(shipped)}",
        tone=ACTION_TONES.get(of["action"], Tone.NEUTRAL),
        why=printable(of["why"]),
        rule=readable(of["rule"]),
        rule_in_words=RULES.get(of["rule"], ""),
        by_treatment=by_treatment,
    )
