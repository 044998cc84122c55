"""A small, seeded calibration of guardrails with a margin; docs/calibration.md has the large simulation (rule C9)."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.measures import Aggregation, Clock
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.stats.guardrail import at_margin, decide_margin, margin_evidence, margin_reading
from experiment_pipeline.stats.late_values import widened_for_late_values
from experiment_pipeline.stats.verdict import Verdict
from tests.calibration import accruing
from tests.calibration.guardrails import GUARDRAILS, guarded, log_at_margin, moved
from tests.calibration.peeking import Paths, mean_paths
from tests.calibration.populations import Binary, Counts, computed
from tests.calibration.studies import Study
from tests.calibration.test_kinds import FEW, noise
from tests.calibration.traffic import Traffic, draw_arms

NOT_DECREASE, NOT_INCREASE = ExpectedDirection.NOT_DECREASE, ExpectedDirection.NOT_INCREASE
MEANS = accruing.Case(Traffic(Aggregation.MEAN, 300, 6.0, enrolled_within=1.0), looks=4)


@pytest.mark.slow
@pytest.mark.parametrize("study", GUARDRAILS, ids=[study.name for study in GUARDRAILS])
def test_guardrails__small_sample__does_not_refute_the_bound__c9(study: Study) -> None:
    found = study.run((7, GUARDRAILS.index(study)), FEW)
    for reading in study.readings:
        measured = reading.measured(found)
        assert reading.low - noise(reading.low, FEW) <= measured <= reading.high + noise(reading.high, FEW), (
            reading.name
        )


def test_guardrail__equal_arms__are_ok_and_at_the_margin_they_are_not__c9() -> None:
    looks, batches = 30, (2_400, 2_400)  # 1.6 times the sample that a fixed test needs for a margin of 5 %
    equal, at_the_margin = (
        guarded(mean_paths((3,), 400, Binary(0.3), Binary(share), looks=looks, batches=batches), NOT_DECREASE, 0.05)
        for share in (0.3, 0.285)
    )
    assert equal["ok"] >= 0.8 * 400
    assert equal["harmed"] == 0
    assert at_the_margin["ok"] <= 0.056 * 400
    assert at_the_margin["harmed"] <= 0.056 * 400


@pytest.mark.parametrize("expected", [NOT_DECREASE, NOT_INCREASE])
@pytest.mark.parametrize(
    ("paths_of", "clock"),
    [
        (lambda: mean_paths((5,), 3, Binary(0.4), Binary(0.42), looks=4, batches=(900, 300)), Clock.ODDS),
        (lambda: mean_paths((5,), 3, Counts(0.9), Counts(0.8), looks=4, batches=(500, 700)), Clock.EVENTS),
        (lambda: accruing.paths_of(MEANS, (5,), 3), Clock.EVENTS),
    ],
    ids=["conversions", "counts", "means"],
)
def test_guardrail__arrays__say_what_the_reading_says(
    paths_of: Callable[[], Paths], clock: Clock, expected: ExpectedDirection
) -> None:
    paths, margin = paths_of(), 0.1
    log_m, better = log_at_margin(paths, expected, margin)
    for i, k in np.ndindex(*log_m.shape):
        sizes = (np.broadcast_to(arm.n, log_m.shape)[i, k] for arm in (paths.control, paths.treatment))
        control, treatment = (
            VariantAggregate(int(n), float(arm.mean[i, k]), float(arm.m2[i, k]))
            for n, arm in zip(sizes, (paths.control, paths.treatment), strict=True)
        )
        if math.isinf(paths.standard_error[i, k]):
            assert log_m[i, k] <= 1e-9, "below a floor"
            continue
        evidence = margin_evidence(clock, control, treatment, (1, 1), margin)
        if paths.with_value is not None:
            share = float(paths.with_value[i, k])
            have = round(share * (control.n + treatment.n))
            evidence = widened_for_late_values(evidence, control, treatment, (have, 0))
        found = computed(margin_reading(at_margin(control, expected, margin), treatment, evidence))
        assert math.exp(-max(0.0, float(log_m[i, k]))) == pytest.approx(found.anytime.p_value, rel=1e-4)
        verdict = decide_margin(found.anytime, expected, trustworthy=True)
        if log_m[i, k] >= math.log(20):
            assert verdict is (Verdict.OK if better[i, k] > 0 else Verdict.HARMED)
        else:
            assert verdict is Verdict.INCONCLUSIVE


def test_moved__arm__has_so_many_times_the_mean_at_every_look() -> None:
    conversions = accruing.Case(Traffic(Aggregation.OCCURRENCE, 50_000, accruing.hazard(0.5)), looks=3)
    for case, tolerance in ((conversions, 0.02), (MEANS, 1e-12)):
        arm, _ = draw_arms(case.traffic, (1,), 2, case.looks)
        found = moved(arm, case.traffic.aggregation, 0.8, np.random.default_rng(1))
        assert found.y == pytest.approx(0.8 * arm.y, rel=tolerance)
        assert found.yy == pytest.approx(arm.yy * (0.8 if case is conversions else 0.64), rel=tolerance)
        assert (found.yy <= found.y + 1e-9).all() == (case is conversions), "only conversions stay 0 or 1"
