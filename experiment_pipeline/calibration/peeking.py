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
from experiment_pipeline.calibration.fixed import Arms
from experiment_pipeline.calibration.populations import Binary, Floats, PairPopulation, Population, Seed, computed
from experiment_pipeline.experiments import Design
from experiment_pipeline.stats.anytime import log_mixture, pooled_standard_error, scaled_information
from experiment_pipeline.stats.cuped import cuped
from experiment_pipeline.stats.effect import effect
from experiment_pipeline.stats.normal import lower_quantile
from experiment_pipeline.stats.ratio import ratio_aggregate
from experiment_pipeline.stats.sequential import spending_boundaries
from experiment_pipeline.stats.srm import SRM_ALPHA, log_e_value

MINIMUM_IDENTITIES, MINIMUM_CONVERSIONS = 50, 5  # the shipped floors per arm
NAIVE_Z = -lower_quantile(0.05)  # "chance to win above 95 %", for either arm


@dataclass(frozen=True, slots=True)
class Paths:
    """What simulated experiments show at every look: arrays of shape (experiments, looks), n per arm of (looks,).

    standard_error: the effect's, for the rules that take it as it is
    cautious_error: the larger of it and the pooled one, for the any-time interval; inf below a floor
    """

    effect: Floats
    standard_error: Floats
    cautious_error: Floats
    control_n: Floats
    treatment_n: Floats

    @property
    def z(self) -> Floats:
        """The effect in its own standard errors; 0 while nothing is known."""
        return np.divide(
            self.effect, self.standard_error, out=np.zeros_like(self.effect), where=self.standard_error > 0
        )


def mean_paths(
    seed: Seed, experiments: int, control: Population, treatment: Population, *, looks: int, batches: tuple[int, int]
) -> Paths:
    """Experiments on a metric that is a mean, `batches` identities of control and treatment arriving at each look.

    Proportions count from the shipped floor of conversions on, everything from that of identities.
    """
    rng = np.random.default_rng(seed)
    c, t = control(rng, experiments, looks, batches[0]), treatment(rng, experiments, looks, batches[1])
    standard_error = np.sqrt(c.squared_error + t.squared_error)
    pooled = np.sqrt((c.m2 + t.m2) / (c.n + t.n - 2) * (1 / c.n + 1 / t.n))
    shown = (standard_error > 0) & (np.minimum(c.n, t.n) >= MINIMUM_IDENTITIES)
    if isinstance(control, Binary):
        shown &= np.minimum(c.y, t.y) >= MINIMUM_CONVERSIONS
    cautious = np.where(shown, np.maximum(standard_error, pooled), np.inf)
    return Paths(t.mean - c.mean, np.where(shown, standard_error, np.inf), cautious, c.n, t.n)


def ratio_paths(seed: Seed, experiments: int, population: PairPopulation, *, looks: int, batch: int) -> Paths:
    """A/A tests on a ratio."""

    def arms(control: PairAggregate, treatment: PairAggregate) -> Arms:
        return computed(ratio_aggregate(control)), computed(ratio_aggregate(treatment))

    return _pair_paths(seed, experiments, population, arms, looks=looks, batch=batch)


def cuped_paths(seed: Seed, experiments: int, population: PairPopulation, *, looks: int, batch: int) -> Paths:
    """A/A tests adjusted for the pre-period."""

    def arms(control: PairAggregate, treatment: PairAggregate) -> Arms:
        adjusted = computed(cuped(control, treatment))
        return adjusted.control, adjusted.treatment

    return _pair_paths(seed, experiments, population, arms, looks=looks, batch=batch)


def _pair_paths(
    seed: Seed,
    experiments: int,
    population: PairPopulation,
    arms_of: Callable[[PairAggregate, PairAggregate], Arms],
    *,
    looks: int,
    batch: int,
) -> Paths:
    rng = np.random.default_rng(seed)
    c, t = population(rng, experiments, looks, batch), population(rng, experiments, looks, batch)
    value, standard_error, cautious = np.empty((3, experiments, looks))
    for i, k in np.ndindex(experiments, looks):
        arms = arms_of(c.aggregate(i, k), t.aggregate(i, k))
        found = computed(effect(*arms))
        value[i, k], standard_error[i, k] = found.value, found.standard_error
        cautious[i, k] = max(found.standard_error, pooled_standard_error(*arms))
    return Paths(value, standard_error, cautious, c.n, t.n)


def peeking(paths: Paths, design: Design) -> Counter[str]:
    """Experiments that are called a difference at any look, and at the last look alone, by each rule."""
    size = np.abs(paths.z)
    crossed = log_anytime(paths, design) >= -math.log(design.alpha)
    return Counter(
        experiments=len(size),
        naive=int((size > NAIVE_Z).any(axis=1).sum()),
        naive_once=int((size[:, -1] > NAIVE_Z).sum()),
        anytime=int(crossed.any(axis=1).sum()),
        anytime_once=int(crossed[:, -1].sum()),
    )


def log_anytime(paths: Paths, design: Design) -> Floats:
    """`log M` of every experiment at every look."""
    scaled = [
        scaled_information(error, int(control_n), int(treatment_n), design)
        for errors in paths.cautious_error
        for error, control_n, treatment_n in zip(errors, paths.control_n, paths.treatment_n, strict=True)
    ]
    return log_mixture(np.abs(paths.effect) / paths.cautious_error, np.array(scaled).reshape(paths.effect.shape))


def planned(paths: Paths) -> Counter[str]:
    """Experiments that cross the boundary of a planned look; each look's information is the one it has observed."""
    boundaries = np.array(spending_boundaries([float(n / paths.control_n[-1]) for n in paths.control_n]))
    return Counter(experiments=len(paths.effect), crossed=int((np.abs(paths.z) >= boundaries).any(axis=1).sum()))


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
