"""Many looks: how often an A/A test is called a difference at any of them, by the naive rule and by ours.

Also the other side of it: how often a true effect is found in time, since a verdict that never fires passes nothing.
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special

from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.confidence_sequence import boundary, log_mixture
from experiment_pipeline.stats.evidence import UNPLANNED, Mixture, planned_lift
from experiment_pipeline.stats.group_sequential import spending_boundaries
from experiment_pipeline.stats.normal import lower_quantile
from experiment_pipeline.stats.srm import SRM_ALPHA, log_e_value
from tests.calibration.populations import (
    Binary,
    Moments,
    PairPopulation,
    PairSums,
    Population,
    Seed,
    Sums,
)

MINIMUM_IDENTITIES, MINIMUM_CONVERSIONS, MINIMUM_NONZERO = 50, 5, 150  # the shipped floors per arm
LOG_EVIDENCE = np.linspace(math.log(1e-9), math.log(1e18), 20_000)
NAIVE_Z = -lower_quantile(0.05)  # "chance to win above 95 %", for either arm


@dataclass(frozen=True, slots=True)
class Paths:
    """Statistics of simulated experiments at every look: arrays of shape (experiments, looks), n per arm of (looks,).

    effect: in the metric's unit; `pooled_error` and `standard_error` of it, the latter inf below a floor
    cautious_error: the larger of both, for the anytime-valid interval; inf below a floor
    events: that have counted in both arms, for an identity of them; None for metrics that have a design
    with_value: share of the identities that have a value, for means
    """

    effect: Floats
    standard_error: Floats
    cautious_error: Floats
    pooled_error: Floats
    control: Moments
    treatment: Moments
    aggregation: Aggregation = Aggregation.SUM
    events: Floats | None = None
    with_value: Floats | None = None

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

    Proportions count from the shipped floor of conversions on, others from that of identities that are not 0.
    """
    rng = np.random.default_rng(seed)
    c, t = control(rng, experiments, looks, batches[0]), treatment(rng, experiments, looks, batches[1])
    return between(c, t, proportions=isinstance(control, Binary))


def between(control: Sums, treatment: Sums, *, proportions: bool = False) -> Paths:
    """Experiments whose arms have been drawn."""
    return paths_between(
        Moments(control.n, control.mean, control.m2),
        Moments(treatment.n, treatment.mean, treatment.m2),
        Aggregation.OCCURRENCE if proportions else Aggregation.SUM,
        events=(control.events + treatment.events) / (control.n + treatment.n),
        enough=np.minimum(control.nonzero, treatment.nonzero)
        >= (MINIMUM_CONVERSIONS if proportions else MINIMUM_NONZERO),
    )


def ratio_paths(seed: Seed, experiments: int, population: PairPopulation, *, looks: int, batch: int) -> Paths:
    """A/A tests on a ratio: `ratio_aggregate` over arrays."""
    control, treatment = _pairs(seed, experiments, population, looks, batch)
    return paths_between(_ratio(control), _ratio(treatment))


def cuped_paths(seed: Seed, experiments: int, population: PairPopulation, *, looks: int, batch: int) -> Paths:
    """A/A tests adjusted for the pre-period: `cuped` over arrays."""
    c, t = _pairs(seed, experiments, population, looks, batch)
    theta = (c.c_xy + t.c_xy) / (c.m2_x + t.m2_x)
    shift = theta * (t.x / t.n - c.x / c.n)
    return paths_between(
        Moments(c.n, c.y / c.n, c.residual_m2(theta)), Moments(t.n, t.y / t.n - shift, t.residual_m2(theta))
    )


def _ratio(arm: PairSums) -> Moments:
    ratio, mean_x = arm.y / arm.x, arm.x / arm.n
    return Moments(arm.n, ratio, arm.residual_m2(ratio) / mean_x / mean_x)


def _pairs(
    seed: Seed, experiments: int, population: PairPopulation, looks: int, batch: int
) -> tuple[PairSums, PairSums]:
    rng = np.random.default_rng(seed)
    return population(rng, experiments, looks, batch), population(rng, experiments, looks, batch)


def paths_between(
    control: Moments,
    treatment: Moments,
    aggregation: Aggregation = Aggregation.SUM,
    *,
    events: Floats | None = None,
    with_value: Floats | None = None,
    enough: npt.NDArray[np.bool_] | bool = True,
) -> Paths:
    """Return experiments from the moments of their arms."""
    n_c, n_t = np.maximum(control.n, 2), np.maximum(treatment.n, 2)
    own = np.sqrt(control.m2 / (n_c - 1) / n_c + treatment.m2 / (n_t - 1) / n_t)
    pooled = np.sqrt((control.m2 + treatment.m2) / (n_c + n_t - 2) * (1 / n_c + 1 / n_t))
    shown = (own > 0) & (np.minimum(n_c, n_t) >= MINIMUM_IDENTITIES) & enough
    return Paths(
        effect=treatment.mean - control.mean,
        standard_error=np.where(shown, own, np.inf),
        cautious_error=np.where(shown, np.maximum(own, pooled), np.inf),
        pooled_error=np.where(shown, pooled, np.inf),
        control=control,
        treatment=treatment,
        aggregation=aggregation,
        events=events,
        with_value=with_value,
    )


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
    accrued = evidence(paths, design)
    error = paths.cautious_error * (1.0 if paths.with_value is None else error_factor(paths, accrued, mixture(design)))
    return log_mixture(np.abs(paths.effect) / error, accrued, mixture(design))


def mixture(design: Design) -> Mixture:
    """Return what the interval is tuned to."""
    lift = planned_lift(design)
    return UNPLANNED if lift is None else ((lift, 1.0),)


def evidence(paths: Paths, design: Design) -> Floats:
    """`accrued_evidence` over arrays."""
    control, treatment, is_planned = paths.control, paths.treatment, planned_lift(design) is not None
    identities = control.n + treatment.n
    if not is_planned and paths.aggregation is not Aggregation.OCCURRENCE:
        assert paths.events is not None
        amount: Floats = control.n * treatment.n / identities * paths.events
        return amount
    information: Floats = (control.mean**2 + treatment.mean**2) / 2 / paths.pooled_error**2
    if paths.aggregation is not Aggregation.OCCURRENCE:
        return information
    p = (control.n * control.mean + treatment.n * treatment.mean) / identities
    ahead = 1 + (p / np.maximum(1 - p, 1e-16)) ** 2
    if not is_planned:
        return information * ahead
    baseline = design.baseline or 0
    return information * (ahead / (1 + (baseline / (1 - baseline)) ** 2)) ** 3


def error_factor(paths: Paths, accrued: Floats, tuned_to: Mixture) -> Floats:
    """`widened_for_late_values` over arrays."""
    assert paths.with_value is not None
    n_c, n_t = paths.control.n, paths.treatment.n
    share = np.clip(paths.with_value, 1e-12, 1 - 1e-12)
    odds, n = share / (1 - share), n_c * n_t / (n_c + n_t)
    mean_of_values = (n_c * paths.control.mean + n_t * paths.treatment.mean) / (n_c + n_t) / share
    of_who_has_one = np.minimum(1, (mean_of_values / paths.pooled_error) ** 2 * share * (1 - share) / n)
    wider = _boundary(n * odds * (1 + odds**2), UNPLANNED) / _boundary(accrued, tuned_to)
    factor: Floats = np.sqrt(1 + of_who_has_one * np.maximum(0, wider**2 - 1))
    return factor


def _boundary(accrued: Floats, tuned_to: Mixture) -> Floats:
    """Return the boundary at 5 %, read from a table: solving for it takes longer than all else."""
    return np.interp(np.log(np.maximum(accrued, 1e-9)), LOG_EVIDENCE, _table(tuned_to))


@cache
def _table(tuned_to: Mixture) -> Floats:
    return boundary(np.exp(LOG_EVIDENCE), tuned_to, 0.05)


def planned(paths: Paths) -> Counter[str]:
    """Experiments that cross the boundary of a planned look; each look's information is the one it has observed."""
    boundaries = np.array(spending_boundaries([float(n / paths.control.n[-1]) for n in paths.control.n]))
    return Counter(experiments=len(paths.effect), crossed=int((np.abs(paths.z) >= boundaries).any(axis=1).sum()))


def sample_ratio(
    seed: Seed, experiments: int, shares: list[float], actual: list[float], *, looks: int, batch: int
) -> Counter[str]:
    """Count splits that alarm: by the fixed-sample test at the last look, by the anytime-valid test at any look."""
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
