"""The decision: of a numbered list of rules the first that holds fires, and says why (rule C10)."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, PairAggregate, VariantAggregate
from experiment_pipeline.domain.experiments import Design, Experiment, Variant, VariantRole
from experiment_pipeline.domain.floors import SHIPPED_FLOORS, Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import AttachedMetric, Direction, ExpectedDirection, Mean, Metric
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.decision import Action, Decision, Rule, decide_experiment
from tests.docs.pages import ROOT
from tests.results.subjects import CONTROL, EVEN, PURCHASE, experiment, rate

NOW = datetime(2026, 11, 1, tzinfo=UTC)
GUARDRAIL = AttachedMetric(replace(PURCHASE, id=8, name="errors"), ExpectedDirection.NOT_INCREASE)
PLAN = Design(mde=0.2, baseline=0.5)
Rates = tuple[float, ...]


def decided(
    primary: Rates,
    guardrail: Rates | None = None,
    *,
    n: int = 2_000,
    margin: float | None = None,
    counts: dict[str, int] | None = None,
    variants: tuple[Variant, ...] = EVEN,
    changes: dict[str, Any] | None = None,
    direction: Direction = Direction.UP,
    floors: Floors = SHIPPED_FLOORS,
    unreadable: int = 0,
    **inputs: Any,
) -> Decision:
    """Return the decision on conversion rates by variant, control's first, of the primary metric and a guardrail."""
    keys = ("control", "b", "c")[: len(primary)]
    subject: Experiment = experiment(variants, metric=replace(PURCHASE, direction=direction))
    attached = subject.metrics if guardrail is None else (*subject.metrics, replace(GUARDRAIL, margin=margin))
    subject = replace(subject, **{"metrics": attached, **(changes or {})})
    invalid = dict.fromkeys(keys, unreadable)
    found = [MetricAggregates(7, _moments(keys, primary, n), dict.fromkeys(keys, n), invalid)]
    if guardrail is not None:
        found.append(MetricAggregates(8, _moments(keys, guardrail, n)))
    computed = compute_results(subject, counts or dict.fromkeys(keys, n), found, floors, as_of=NOW)
    decision = decide_experiment(subject, computed, **inputs)
    assert decision is not None
    return decision


def _moments(keys: tuple[str, ...], rates: Rates, n: int) -> dict[str, VariantAggregate | None]:
    return {key: rate(n, round(share * n)) for key, share in zip(keys, rates, strict=True)}


BROKEN = {"control": 2_000, "b": 2_500}
ENDED = {"ended_at": NOW}
OVER = {"design": PLAN}  # 2,000 identities an arm are over ten times its plan
SHIP, ROLLBACK, KEEP, NEITHER = Action


@pytest.mark.parametrize(
    ("primary", "guardrail", "more", "action", "rule"),
    [
        ((0.4, 0.6), (0.2, 0.4), {}, ROLLBACK, Rule.GUARDRAIL_HARMED),
        ((0.4, 0.6), (0.2, 0.4), {"counts": BROKEN, "health_errors": ["Any"]}, ROLLBACK, Rule.GUARDRAIL_HARMED),
        ((0.4, 0.6), (0.2, 0.2), {"counts": BROKEN}, KEEP, Rule.SPLIT_NOT_TRUSTWORTHY),
        ((0.4, 0.6), (0.2, 0.2), {"counts": BROKEN, "changes": ENDED}, NEITHER, Rule.SPLIT_NOT_TRUSTWORTHY),
        ((0.6, 0.4), (0.2, 0.2), {"counts": BROKEN}, KEEP, Rule.SPLIT_NOT_TRUSTWORTHY),
        ((0.4, 0.6), (0.2, 0.2), {"health_errors": ["Event never seen"]}, KEEP, Rule.HEALTH_ERROR),
        ((0.6, 0.4), (0.2, 0.2), {"health_errors": ["Event never seen"]}, KEEP, Rule.HEALTH_ERROR),
        ((0.4, 0.6), None, {"health_errors": ["Any"], "changes": ENDED}, NEITHER, Rule.HEALTH_ERROR),
        ((0.6, 0.4), (0.2, 0.2), {}, ROLLBACK, Rule.PRIMARY_LOSING),
        ((0.6, 0.4), None, {"contradicted": ["b"]}, ROLLBACK, Rule.PRIMARY_LOSING),
        ((0.4, 0.6), (0.2, 0.2), {"contradicted": ["b"]}, KEEP, Rule.READINGS_DISAGREE),
        ((0.4, 0.6), (0.2, 0.2), {"contradicted": ["b"], "changes": ENDED}, NEITHER, Rule.READINGS_DISAGREE),
        ((0.4, 0.6), (0.2, 0.2), {"margin": 0.01}, KEEP, Rule.GUARDRAIL_NOT_OK),
        ((0.4, 0.6), (0.2, 0.2), {"margin": 0.01, "changes": ENDED}, NEITHER, Rule.GUARDRAIL_NOT_OK),
        ((0.4, 0.6), (0.2, 0.2), {}, SHIP, Rule.PRIMARY_WINNING),
        ((0.4, 0.6), (0.2, 0.2), {"changes": ENDED}, SHIP, Rule.PRIMARY_WINNING),
        ((0.4, 0.6), (0.2, 0.2), {"margin": 0.9}, SHIP, Rule.PRIMARY_WINNING),
        ((0.4, 0.6), None, {"contradicted": ["c"]}, SHIP, Rule.PRIMARY_WINNING),
        ((0.5, 0.5), (0.2, 0.2), {}, KEEP, Rule.EVIDENCE_ACCRUES),
        ((0.5, 0.5), (0.2, 0.2), {"changes": ENDED}, NEITHER, Rule.TIME_IS_OVER),
        ((0.5, 0.5), (0.2, 0.2), {"changes": OVER}, NEITHER, Rule.TIME_IS_OVER),
        ((0.5, 0.5), None, {"changes": OVER, "n": 600}, KEEP, Rule.EVIDENCE_ACCRUES),
        ((0.5, 0.5), None, {"n": 40}, KEEP, Rule.SPLIT_NOT_TRUSTWORTHY),
    ],
)
def test_decision__of_one_treatment__is_that_of_the_first_rule_that_holds__c10(
    primary: Rates, guardrail: Rates | None, more: dict[str, Any], action: Action, rule: Rule
) -> None:
    decision = decided(primary, guardrail, **more)
    assert (decision.action, decision.rule) == (action, rule)
    assert decision.treatment == ("b" if action is SHIP else None)
    assert decision.by_treatment["b"].why == decision.why
    assert re.fullmatch(r"[A-Z][^.]*\.", decision.why), "one sentence"


def test_decision__plan_of_looks__is_over_with_the_last_of_them__c10() -> None:
    looks = {"design": replace(PLAN, n_looks=2)}
    assert decided((0.5, 0.5), n=320, changes=looks).rule is Rule.EVIDENCE_ACCRUES
    over = decided((0.5, 0.5), n=410, changes=looks)
    assert (over.action, over.rule) == (NEITHER, Rule.TIME_IS_OVER)


def test_decision__guardrail_that_is_the_primary_metric__ships_only_within_a_margin() -> None:
    def primary(margin: float | None) -> dict[str, Any]:
        guarded = AttachedMetric(PURCHASE, ExpectedDirection.NOT_DECREASE, margin=margin)
        return {"metrics": (guarded,)}

    within = decided((0.5, 0.5), changes=primary(0.2))
    assert (within.action, within.why) == (
        SHIP,
        "It is shown to be within the margin on bought, and no guardrail is harmed.",
    )
    assert decided((0.5, 0.5), changes=primary(None)).rule is Rule.EVIDENCE_ACCRUES
    assert decided((0.5, 0.3), changes=primary(None)).rule is Rule.GUARDRAIL_HARMED


@pytest.mark.parametrize(
    ("primary", "more", "rule", "why"),
    [
        ((0.5, 0.5), {"floors": Floors(conversions=2_000)}, Rule.EVIDENCE_ACCRUES,
         "The metric bought cannot be read yet: too few conversions."),
        ((0.5, 0.5), {"floors": Floors(conversions=2_000), "changes": ENDED}, Rule.TIME_IS_OVER,
         "The time is over, and the metric bought cannot be read: too few conversions."),
        ((0.5, 0.5), {"unreadable": 100}, Rule.EVIDENCE_ACCRUES,
         "The metric bought cannot be read yet: more than 1 % of the values in an arm are not numbers."),
        ((0.5, 0.5), {}, Rule.EVIDENCE_ACCRUES, "Neither better nor worse is shown on bought so far."),
    ],
)  # fmt: skip
def test_decision__primary_metric_that_cannot_be_read__says_so_and_why__c10(
    primary: Rates, more: dict[str, Any], rule: Rule, why: str
) -> None:
    decision = decided(primary, **more)
    assert (decision.rule, decision.why) == (rule, why)


THREE = (CONTROL, *(Variant(key, VariantRole.TREATMENT, 100 / 3) for key in "bc"))


@pytest.mark.parametrize(
    ("primary", "direction", "action", "treatment", "each"),
    [
        ((0.4, 0.6, 0.7), Direction.UP, SHIP, "c", [SHIP, SHIP]),
        ((0.6, 0.4, 0.3), Direction.DOWN, SHIP, "c", [SHIP, SHIP]),
        ((0.4, 0.6, 0.4), Direction.UP, SHIP, "b", [SHIP, KEEP]),
        ((0.5, 0.3, 0.5), Direction.UP, KEEP, None, [ROLLBACK, KEEP]),
        ((0.5, 0.3, 0.3), Direction.UP, ROLLBACK, None, [ROLLBACK, ROLLBACK]),
    ],
)
def test_decision__of_two_treatments__names_what_is_shipped__c10(
    primary: Rates, direction: Direction, action: Action, treatment: str | None, each: list[Action]
) -> None:
    decision = decided(primary, variants=THREE, direction=direction)
    assert (decision.action, decision.treatment) == (action, treatment)
    assert [found.action for found in decision.by_treatment.values()] == each
    assert decision.why.startswith(("b: ", "c: "))


def test_decision__of_two_treatments__ships_the_best_by_the_reading_that_decides__c8() -> None:
    """b had more before its exposure, so that it has more afterwards; adjusted for that, c is the better one."""

    def arm(before: float, gain: float) -> PairAggregate:
        noise = np.random.default_rng(7).normal(0.0, 1.0, (2, 2_000))
        return PairAggregate.of(zip(noise[0] + 5 + before, noise[0] + 0.2 * noise[1] + 9 + before + gain, strict=True))

    joint = {"control": arm(0.0, 0.0), "b": arm(0.5, 0.5), "c": arm(0.0, 0.8)}
    visits = Mean(Measure(Events("visit"), Aggregation.COUNT), covariate_before=timedelta(14))
    subject = experiment(THREE, metric=Metric(7, "prod", "visits", visits, direction=Direction.UP))
    plain = {key: VariantAggregate(each.n, each.mean_y, each.m2_y) for key, each in joint.items()}
    found = MetricAggregates(7, dict(plain), joint=dict(joint))
    computed = compute_results(subject, dict.fromkeys(joint, 2_000), [found], Floors(nonzero=0), as_of=NOW)
    assert plain["b"].mean > plain["c"].mean
    decision = decide_experiment(subject, computed)
    assert decision is not None
    assert (decision.action, decision.treatment) == (SHIP, "c")


def test_decision__two_treatments_at_the_end__is_inconclusive_while_one_is() -> None:
    decision = decided((0.5, 0.3, 0.5), variants=THREE, changes=ENDED)
    assert (decision.action, decision.rule) == (NEITHER, Rule.TIME_IS_OVER)


def test_decision__without_metrics__is_none() -> None:
    subject = replace(experiment(), metrics=())
    assert decide_experiment(subject, compute_results(subject, {}, [], Floors())) is None


def test_rules__of_the_code__are_those_of_the_statistics_page_in_their_order__c10() -> None:
    page = (ROOT / "docs" / "statistics.md").read_text("utf-8")
    assert re.findall(r"^\| `(\d_[a-z_]+)` \|", page, re.MULTILINE) == [rule.value for rule in Rule]
