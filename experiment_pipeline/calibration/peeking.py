"""Many looks: how often an A/A test is called a difference at any of them, by the naive rule and by ours.

Also the other side of it: how often a true effect is found in time, since a verdict that never fires passes nothing.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from experiment_pipeline.aggregates import PairAggregate
from experiment_pipeline.calibration.populations import Binary, Floats, PairPopulation, Population, Seed, computed
from experiment_pipeline.experiments import Design
from experiment_pipeline.stats.anytime import log_mixture, scaled_information
from experiment_pipeline.stats.cuped import cuped
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.normal import lower_quantile
from experiment_pipeline.stats.ratio import ratio_aggregate
from experiment_pipeline.stats.sequential import spending_boundaries
from experiment_pipeline.stats.srm import SRM_ALPHA, log_e_value

MINIMUM_CONVERSIONS = 5  # the shipped floor per arm
NAIVE_Z = -lower_quantile(0.05)  # "chance to win above 95 %", for either arm


@dataclass(frozen=True, slots=True)
class Paths:
    """What simulated experiments show at every look: arrays of shape (experiments, looks), n per arm of (looks,)."""

    z: Floats
    standard_error: Floats
    n: Floats


def mean_paths(
    seed: Seed, experiments: int, control: Population, treatment: Population, *, looks: int, batch: int
) -> Paths:
    """Experiments on a metric that is a mean; proportions count from the shipped floor of conversions on."""
    rng = np.random.default_rng(seed)
    c, t = control(rng, experiments, looks, batch), treatment(rng, experiments, looks, batch)
    error = np.sqrt(c.squared_error + t.squared_error)
    shown = error > 0
    if isinstance(control, Binary):
        shown &= np.minimum(c.y, t.y) >= MINIMUM_CONVERSIONS
    error[~shown] = np.inf  # nothing is known yet
    return Paths((t.mean - c.mean) / error, error, c.n)


def ratio_paths(seed: Seed, experiments: int, population: PairPopulation, *, looks: int, batch: int) -> Paths:
    """A/A tests on a ratio."""
    return _pair_paths(seed, experiments, population, _ratio_effect, looks=looks, batch=batch)


def cuped_paths(seed: Seed, experiments: int, population: PairPopulation, *, looks: int, batch: int) -> Paths:
    """A/A tests adjusted for the pre-period."""
    return _pair_paths(seed, experiments, population, _cuped_effect, looks=looks, batch=batch)


def _pair_paths(
    seed: Seed,
    experiments: int,
    population: PairPopulation,
    effect_of: Callable[[PairAggregate, PairAggregate], Effect],
    *,
    looks: int,
    batch: int,
) -> Paths:
    rng = np.random.default_rng(seed)
    c, t = population(rng, experiments, looks, batch), population(rng, experiments, looks, batch)
    z, error = np.empty((experiments, looks)), np.empty((experiments, looks))
    for i, k in np.ndindex(experiments, looks):
        found = effect_of(c.aggregate(i, k), t.aggregate(i, k))
        z[i, k], error[i, k] = found.value / found.standard_error, found.standard_error
    return Paths(z, error, c.n)


def _ratio_effect(control: PairAggregate, treatment: PairAggregate) -> Effect:
    return computed(effect(computed(ratio_aggregate(control)), computed(ratio_aggregate(treatment))))


def _cuped_effect(control: PairAggregate, treatment: PairAggregate) -> Effect:
    adjusted = computed(cuped(control, treatment))
    return computed(effect(adjusted.control, adjusted.treatment))


def peeking(paths: Paths, design: Design) -> Counter[str]:
    """Experiments that are called a difference at any look, and at the last look alone, by each rule."""
    size = np.abs(paths.z)
    crossed = log_mixture(size, information(paths, design)) >= -math.log(design.alpha)
    return Counter(
        experiments=len(size),
        naive=int((size > NAIVE_Z).any(axis=1).sum()),
        naive_once=int((size[:, -1] > NAIVE_Z).sum()),
        anytime=int(crossed.any(axis=1).sum()),
        anytime_once=int(crossed[:, -1].sum()),
    )


def information(paths: Paths, design: Design) -> Floats:
    """`scaled_information` of every experiment at every look."""
    scaled = [
        scaled_information(error, int(n), int(n), design)
        for errors in paths.standard_error
        for error, n in zip(errors, paths.n, strict=True)
    ]
    return np.array(scaled).reshape(paths.z.shape)


def planned(paths: Paths) -> Counter[str]:
    """Experiments that cross the boundary of a planned look; each look's information is the one it has observed."""
    boundaries = np.array(spending_boundaries([float(n / paths.n[-1]) for n in paths.n]))
    return Counter(experiments=len(paths.z), crossed=int((np.abs(paths.z) >= boundaries).any(axis=1).sum()))


def sample_ratio(
    seed: Seed, experiments: int, shares: list[float], actual: list[float], *, looks: int, batch: int
) -> Counter[str]:
    """Experiments whose split alarms: by the fixed-sample test at the last look, by the any-time test at any look."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(batch, actual, (experiments, looks)).cumsum(axis=1).astype(float)
    expected = counts.sum(axis=2, keepdims=True) * np.array(shares)
    chi2 = ((counts - expected) ** 2 / expected).sum(axis=2)
    p_values = special.chdtrc(len(shares) - 1, chi2)
    anytime = log_e_value(counts, np.array(shares)) >= -math.log(SRM_ALPHA)
    return Counter(
        experiments=experiments,
        fixed=int((p_values[:, -1] < SRM_ALPHA).sum()),
        fixed_any=int((p_values < SRM_ALPHA).any(axis=1).sum()),
        anytime=int(anytime.any(axis=1).sum()),
    )
