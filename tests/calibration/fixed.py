"""One look: how often each tail of an A/A test errs, and how often intervals cover the truth."""

from collections import Counter

import numpy as np

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.stats.cuped import cuped
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.frequentist import ProportionTest, WelchTest, two_proportion_test, welch_test
from experiment_pipeline.stats.lift import lift
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.ratio import ratio_aggregate
from tests.calibration.populations import PairPopulation, Population, Seed, computed

Arms = tuple[VariantAggregate, VariantAggregate]


def mean_arms(seed: Seed, experiments: int, control: Population, treatment: Population, n: int) -> list[Arms]:
    """Both arms of every experiment, on a metric that is a mean."""
    rng = np.random.default_rng(seed)
    c, t = control(rng, experiments, 1, n), treatment(rng, experiments, 1, n)
    return [(c.aggregate(i, 0), t.aggregate(i, 0)) for i in range(experiments)]


def ratio_arms(seed: Seed, experiments: int, control: PairPopulation, treatment: PairPopulation, n: int) -> list[Arms]:
    """Both arms of every experiment, on a ratio."""
    return [
        (computed(ratio_aggregate(c)), computed(ratio_aggregate(t)))
        for c, t in _pairs(seed, experiments, control, treatment, n)
    ]


def cuped_arms(seed: Seed, experiments: int, control: PairPopulation, treatment: PairPopulation, n: int) -> list[Arms]:
    """Both arms of every experiment, adjusted for their pre-period."""
    adjusted = (computed(cuped(c, t)) for c, t in _pairs(seed, experiments, control, treatment, n))
    return [(each.control, each.treatment) for each in adjusted]


def _pairs(
    seed: Seed, experiments: int, control: PairPopulation, treatment: PairPopulation, n: int
) -> list[tuple[PairAggregate, PairAggregate]]:
    rng = np.random.default_rng(seed)
    c, t = control(rng, experiments, 1, n), treatment(rng, experiments, 1, n)
    return [(c.aggregate(i, 0), t.aggregate(i, 0)) for i in range(experiments)]


def errors(arms: list[Arms], *, proportions: bool = False) -> Counter[str]:
    """Return A/A tests' rejections below and above zero, by the effect's interval, Welch's t and proportion test."""
    found: Counter[str] = Counter(experiments=len(arms))
    for control, treatment in arms:
        answers: dict[str, Effect | WelchTest | ProportionTest | NotComputable] = {}
        answers |= {"effect": effect(control, treatment), "welch": welch_test(control, treatment)}
        if proportions:
            answers["proportion"] = two_proportion_test(control, treatment)
        for name, answer in answers.items():
            if not isinstance(answer, NotComputable):
                found[f"{name}:low"] += answer.ci_high < 0
                found[f"{name}:high"] += answer.ci_low > 0
    return found


def coverage(arms: list[Arms], true_effect: float, true_lift: float) -> Counter[str]:
    """Return, for A/B tests with a known truth, how many intervals of effect and lift hold it."""
    found: Counter[str] = Counter(experiments=len(arms))
    for control, treatment in arms:
        for name, answer, truth in (
            ("effect", effect(control, treatment), true_effect),
            ("lift", lift(control, treatment), true_lift),
        ):
            found[name] += not isinstance(answer, NotComputable) and answer.ci_low <= truth <= answer.ci_high
    return found
