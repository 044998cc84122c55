"""Quantiles: errors and coverage at one look and many, of identities and of events, with ties and gaps."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from experiment_pipeline.domain.aggregates import QuantileEstimate, VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.quantile import interval_ranks, quantile_aggregate
from tests.calibration.clocks import Looks, called
from tests.calibration.fixed import Arms
from tests.calibration.populations import Seed, computed

FLOOR = 10  # n q (1 - q)

Values = Callable[[np.random.Generator, tuple[int, int]], Floats]


def lognormal(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return rng.lognormal(0, 1, shape)


def revenue(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Revenue of everybody, of whom three in ten buy."""
    return np.where(rng.random(shape) < 0.3, rng.lognormal(0, 1, shape), 0.0)


def halves(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Zeros and ones."""
    return (rng.random(shape) < 0.5).astype(float)


def levels(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Five equal levels, such as answers."""
    return np.ceil(5 * rng.random(shape))


def counts(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return rng.poisson(3.0, shape).astype(float)


def prices(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Half of all values are one price."""
    return np.where(rng.random(shape) < 0.5, 10.0, rng.lognormal(2.3, 1, shape))


@dataclass(frozen=True, slots=True)
class Slow:
    """Load times of pages: an identity has some pages, and its device makes all of them slow or fast."""

    pages: float = 5.0
    scale: float = 1.0

    def estimate(self, rng: np.random.Generator, identities: int, q: float) -> QuantileEstimate:
        """Return the quantile over the pages of one arm, with its interval over identities (rule M12)."""
        pages = rng.poisson(self.pages * rng.standard_gamma(2.0, identities) / 2)
        device = np.repeat(rng.normal(0, 0.5, identities), pages)
        times = self.scale * np.exp(device + rng.normal(0, 0.7, len(device)))
        n = len(times)
        quantile = np.partition(times, math.ceil(q * n) - 1)[math.ceil(q * n) - 1]
        owner = np.repeat(np.arange(identities), pages)
        below = np.bincount(owner, times <= quantile, minlength=identities)
        deviations = below - below.sum() / n * pages
        error = math.sqrt(identities / (identities - 1) * float((deviations**2).sum())) / n
        return _estimate(np.sort(times), q, identities, error)

    def quantile(self, q: float) -> float:
        """Return that of all pages: the identities with many have no other devices."""
        return self.scale * math.exp(math.hypot(0.5, 0.7) * NormalDist().inv_cdf(q))


def _estimate(ordered: Floats, q: float, identities: int, share_error: float) -> QuantileEstimate:
    n = len(ordered)
    low, high = interval_ranks(q, n, share_error)
    value = float(ordered[math.ceil(q * n - 1e-9) - 1])
    ends = (None if rank is None else float(ordered[rank - 1]) for rank in (low, high))
    return QuantileEstimate(identities, value, *ends)


def identity_arms(seed: Seed, experiments: int, values: Values, q: float, n: int, *, scale: float = 1.0) -> list[Arms]:
    """Both arms of every experiment on a quantile of identities; treatment's values are scaled."""
    rng, arms = np.random.default_rng(seed), []
    for _ in range(experiments):
        control, treatment = np.sort(values(rng, (1, n))[0]), scale * np.sort(values(rng, (1, n))[0])
        arms.append((arm_of(control, q), arm_of(treatment, q)))
    return arms


def arm_of(ordered: Floats, q: float) -> VariantAggregate:
    """Return the aggregate of a quantile of identities."""
    n = len(ordered)
    return computed(quantile_aggregate(_estimate(ordered, q, n, math.sqrt(q * (1 - q) / n))))


def event_arms(seed: Seed, experiments: int, q: float, n: int, scale: float = 1.0) -> list[Arms]:
    """Both arms of every experiment on a quantile of events."""
    rng = np.random.default_rng(seed)
    return [
        (
            computed(quantile_aggregate(Slow().estimate(rng, n, q))),
            computed(quantile_aggregate(Slow(scale=scale).estimate(rng, n, q))),
        )
        for _ in range(experiments)
    ]


def peeking(seed: Seed, experiments: int, values: Values, q: float, *, looks: int, batch: int) -> Counter[str]:
    """Count A/A tests on a quantile of identities, who come with their values, that are called at any look."""
    rng = np.random.default_rng(seed)
    found: Counter[str] = Counter()
    for _ in range(experiments):
        control, treatment = (_looks(values(rng, (1, looks * batch))[0], q, looks) for _ in range(2))
        found += called(control, treatment, Clock.INFORMATION, Design(), FLOOR * (1 - 1e-9))
    return found


def _looks(values: Floats, q: float, looks: int) -> Looks:
    """Return one arm of one experiment at every look."""
    sizes = np.arange(1, looks + 1) * (len(values) // looks)
    moments = list(_moments(values, q, sizes.tolist()))
    mean, m2 = (np.array([column]) for column in zip(*moments, strict=True))
    n = sizes[None, :].astype(float)
    return Looks(n, mean, m2, n, n * q * (1 - q))


def _moments(values: Floats, q: float, sizes: list[int]) -> Iterator[tuple[float, float]]:
    for n in sizes:
        low, high = interval_ranks(q, n, math.sqrt(q * (1 - q) / n))
        if low is None or high is None:
            yield math.nan, 0.0
            continue
        rank = math.ceil(q * n - 1e-9)
        part = np.partition(values[:n], (low - 1, rank - 1, high - 1))
        estimate = QuantileEstimate(n, *(float(part[each - 1]) for each in (rank, low, high)))
        arm = computed(quantile_aggregate(estimate))
        yield arm.mean, arm.m2


def peeking_events(
    seed: Seed, experiments: int, q: float, *, identities: int, looks: int, arriving: bool
) -> Counter[str]:
    """Count A/A tests on a quantile of events that are called at any look, of identities whose pages come over time."""
    rng = np.random.default_rng(seed)
    found: Counter[str] = Counter()
    for _ in range(experiments):
        control, treatment = (_pages(rng, q, identities, looks, arriving=arriving) for _ in range(2))
        found += called(control, treatment, Clock.INFORMATION, Design(), FLOOR * (1 - 1e-9))
    return found


def _pages(rng: np.random.Generator, q: float, identities: int, looks: int, *, arriving: bool) -> Looks:
    """Return one arm of one experiment at every look; identities without a page yet are not in it."""
    slow, start = Slow(), rng.random(identities) if arriving else np.zeros(identities)
    pages = rng.poisson(slow.pages * (1 - start) * rng.standard_gamma(2.0, identities) / 2)
    owner = np.repeat(np.arange(identities), pages)
    at = start[owner] + (1 - start[owner]) * rng.random(len(owner))
    times = np.exp(rng.normal(0, 0.5, identities)[owner] + rng.normal(0, 0.7, len(owner)))
    order = np.argsort(at)
    owner, times, ends = owner[order], times[order], np.searchsorted(at[order], np.arange(1, looks + 1) / looks)
    seen = [page_moments(times[:end], owner[:end], q) for end in ends.tolist()]
    n, mean, m2, values = (np.array([column]) for column in zip(*seen, strict=True))
    return Looks(n, mean, m2, values, n * q * (1 - q))


def page_moments(times: Floats, owner: npt.NDArray[np.int64], q: float) -> tuple[float, float, float, float]:
    """Return identities, quantile, its squared error times `n (n - 1)`, and pages; nan where there is none."""
    pages = np.bincount(owner)
    pages, n = pages[pages > 0], len(times)
    if n < 2 or len(pages) < 2:
        return float(len(pages)), math.nan, 0.0, float(n)
    ordered = np.sort(times)
    below = np.bincount(owner, times <= ordered[math.ceil(q * n - 1e-9) - 1])
    below = below[np.bincount(owner) > 0]
    deviations = below - below.sum() / n * pages
    error = math.sqrt(len(pages) / (len(pages) - 1) * float((deviations**2).sum())) / n
    arm = quantile_aggregate(_estimate(ordered, q, len(pages), error))
    moments = (math.nan, 0.0) if isinstance(arm, NotComputable) else (arm.mean, arm.m2)
    return float(len(pages)), *moments, float(n)
