"""Fixed-sample tests of a metric's comparisons, for those who look exactly once; no verdict is made of them."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.metrics import Metric, Quantile, Ratio
from experiment_pipeline.results.comparisons import Compared, Pair
from experiment_pipeline.results.families import adjusted_p_values
from experiment_pipeline.results.model import FixedSampleTest, FrequentistReading
from experiment_pipeline.stats.effect import Effect
from experiment_pipeline.stats.frequentist import (
    ProportionTest,
    WaldTest,
    WelchTest,
    two_proportion_test,
    wald_test,
    welch_test,
)
from experiment_pipeline.stats.not_computable import NotComputable

AnyTest: TypeAlias = WelchTest | ProportionTest | WaldTest
Readings = Mapping[str, FrequentistReading | None]  # by treatment


def frequentist_readings(every: Sequence[Compared]) -> dict[int, Readings]:
    """Return the test of every comparison of the attached metrics, by metric id and treatment.

    The p-values are adjusted in the same families as those of the verdicts, a comparison without a test having 1. There
    is none where the comparison cannot be made, where no verdict may rest on it, and where neither arm has variance.

    Args:
        every: the comparisons of all attached metrics, the primary metric first.
    """
    tests = {
        of.attached.metric.id: {key: None if of.withheld[key] else _test(pair, of) for key, pair in of.pairs.items()}
        for of in every
    }
    p_values = {
        metric_id: {key: 1.0 if test is None else test.p_value for key, test in by_treatment.items()}
        for metric_id, by_treatment in tests.items()
    }
    adjusted = adjusted_p_values([of.attached for of in every], p_values)
    return {
        metric_id: {
            key: None if test is None else _reading(test, adjusted[metric_id][key])
            for key, test in by_treatment.items()
        }
        for metric_id, by_treatment in tests.items()
    }


def fixed_sample_test(
    metric: Metric, control: VariantAggregate, treatment: VariantAggregate, effect: Effect, alpha: float
) -> AnyTest | NotComputable:
    """Return the test of one treatment against control that the kind of the metric asks for, or why there is none."""
    if metric.is_proportion:
        return two_proportion_test(control, treatment, alpha=alpha)
    match metric.statistic:
        case Ratio() | Quantile():
            return wald_test(effect)
        case _:
            return welch_test(control, treatment, alpha=alpha)


def test_name(test: AnyTest) -> FixedSampleTest:
    """Return the name of a test."""
    match test:
        case WelchTest():
            return FixedSampleTest.WELCH
        case ProportionTest():
            return FixedSampleTest.TWO_PROPORTIONS
        case WaldTest():
            return FixedSampleTest.WALD


def _test(pair: Pair | NotComputable, of: Compared) -> AnyTest | None:
    if isinstance(pair, NotComputable):
        return None
    found = fixed_sample_test(of.attached.metric, pair.control, pair.treatment, pair.effect, of.design.alpha)
    return None if isinstance(found, NotComputable) else found


def _reading(test: AnyTest, adjusted_p_value: float) -> FrequentistReading:
    return FrequentistReading(
        test=test_name(test),
        statistic=test.statistic,
        degrees_of_freedom=test.dof if isinstance(test, WelchTest) else None,
        p_value=test.p_value,
        adjusted_p_value=adjusted_p_value,
        ci_low=test.ci_low,
        ci_high=test.ci_high,
    )
