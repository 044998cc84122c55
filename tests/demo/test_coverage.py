"""Over many draws of the demo's experiments our 95 % intervals cover the truth as often as they say."""

from collections import Counter

import numpy as np
import pytest

from experiment_pipeline.demo.simulation import SIMULATIONS, Simulation, draw
from experiment_pipeline.demo.truth import Truth
from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.effect import effect
from experiment_pipeline.stats.lift import lift
from experiment_pipeline.stats.not_computable import NotComputable
from tests.demo.outcomes import MEANS, Values, per_identity

SEEDS = 150
INTERVALS = ("effect", "lift")


def aggregate(values: Values) -> VariantAggregate:
    mean = float(values.mean())
    return VariantAggregate(len(values), mean, float(((values - mean) ** 2).sum()))


def aggregates(simulation: Simulation, seed: int) -> dict[str, dict[str, VariantAggregate]]:
    """By metric and variant; identities that flicker are excluded (rule X3)."""
    outcome = draw(simulation, seed)
    counted = {arm.variant: (outcome.arm == index) & ~outcome.flickers for index, arm in enumerate(simulation.arms)}
    return {
        metric: {variant: aggregate(values[who & ~np.isnan(values)]) for variant, who in counted.items()}
        for metric, values in per_identity(simulation, outcome).items()
    }


@pytest.mark.slow
def test_intervals__of_effect_and_lift__cover_the_truth_in_92_to_98_percent_of_draws() -> None:
    covered: Counter[tuple[str, str]] = Counter()
    compared: Counter[str] = Counter()
    for simulation in SIMULATIONS:
        values = Truth(simulation)
        truth = {
            arm.variant: {metric: values.value(arm.variant, metric) for metric in MEANS} for arm in simulation.arms
        }
        for seed in range(SEEDS):
            for metric, arms in aggregates(simulation, seed).items():
                control = truth["control"][metric]
                for treatment in arms.keys() - {"control", "holdout"}:
                    true_effect = truth[treatment][metric] - control
                    absolute, relative = (method(arms["control"], arms[treatment]) for method in (effect, lift))
                    assert not isinstance(absolute, NotComputable)
                    assert not isinstance(relative, NotComputable)
                    compared[metric] += 1
                    covered["effect", metric] += absolute.ci_low <= true_effect <= absolute.ci_high
                    covered["lift", metric] += relative.ci_low <= true_effect / control <= relative.ci_high
    treatments = sum(arm.variant not in ("control", "holdout") for each in SIMULATIONS for arm in each.arms)
    assert compared == dict.fromkeys(MEANS, treatments * SEEDS)
    shares = {(name, metric): covered[name, metric] / compared[metric] for name in INTERVALS for metric in MEANS}
    assert {where: share for where, share in shares.items() if not 0.92 <= share <= 0.98} == {}
