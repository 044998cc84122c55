"""Parts of a metric: how often a funnel, any value of a dimension, and any slice is called a difference by chance."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.post_stratification import post_stratified
from tests.calibration.families import rejected_together
from tests.calibration.fixed import Arms
from tests.calibration.peeking import between, log_anytime
from tests.calibration.populations import Seed, Sums, computed, sizes_at_looks

VALUES = 21  # the twenty largest of a dimension, and the rest
SHARES = 1 / np.arange(1, VALUES + 1) / (1 / np.arange(1, VALUES + 1)).sum()  # of the identities, by rank
SLICES, KEENNESS = 6, 0.5  # of orders by a property, and the shape of the gamma law of who orders how often
ENOUGH = 30  # conversions of a cell: from there on intervals have their nominal coverage


@dataclass(frozen=True, slots=True)
class Funnel:
    """Identities that go from step to step, each with its chance; the metric is the last step."""

    steps: tuple[float, ...]

    def __call__(self, rng: np.random.Generator, experiments: int, looks: int, batch: int) -> Sums:
        reached = np.full((experiments, looks), batch)
        for chance in self.steps:
            reached = rng.binomial(reached, chance)
        converted = reached.cumsum(axis=1).astype(float)
        return Sums(sizes_at_looks(looks, batch), converted, converted, converted, converted)


def breakdown(
    seed: Seed, experiments: int, still: Funnel, moved: Funnel, *, moving: int, looks: int, batch: int
) -> Counter[str]:
    """Count verdicts on the values of a dimension, of which the first `moving` have an effect.

    A value has a share of the identities that falls as one over its rank, so that the smallest are below the floors.
    any:  a verdict on any value at any look
    last: of an experiment, a verdict at the last look that does not hold, picked at random from those shown
    """
    rng = np.random.default_rng(seed)
    log_m = []
    for number, share in enumerate(SHARES):
        size = max(1, round(batch * share))
        treatment = moved if number < moving else still
        arms = still(rng, experiments, looks, size), treatment(rng, experiments, looks, size)
        log_m.append(log_anytime(between(*arms, proportions=True), Design()))
    rejected = rejected_together(np.exp(-np.maximum(np.array(log_m), 0)), Design().alpha)
    shown = np.logical_or.reduce(rejected, axis=0)
    picked = np.where(rejected[:, :, -1], rng.random((VALUES, experiments)), -1).argmax(axis=0)
    return Counter(
        experiments=experiments,
        any=int(shown.any(axis=1).sum()),
        last=int((shown[:, -1] & (picked >= moving)).sum()),
        found=int(rejected[0, :, -1].sum()) if moving else 0,
    )


def any_value(seed: Seed, experiments: int, still: Funnel, moved: Funnel, identities: int) -> list[Arms]:
    """Return, of every experiment, both arms of one value of a dimension, of those that expect enough conversions.

    What they found does not choose the value: those that happen to have enough differ less than others.
    """
    rng, expected = np.random.default_rng(seed), identities * SHARES * math.prod(still.steps)
    values = int((expected >= ENOUGH).sum())  # shares fall
    arms = []
    for _ in range(experiments):
        control, treatment = rng.binomial(identities, SHARES[rng.integers(values)], 2).tolist()
        arms.append((_converted(rng, control, still), _converted(rng, treatment, moved)))
    return arms


def _converted(rng: np.random.Generator, n: int, funnel: Funnel) -> VariantAggregate:
    reached = n
    for chance in funnel.steps:
        reached = int(rng.binomial(reached, chance))
    return VariantAggregate(n, reached / n, reached * (1 - reached / n))


def post_stratified_errors(seed: Seed, experiments: int, identities: int, lift: float = 0.0) -> Counter[str]:
    """Count experiments whose post-stratified effect errs, and those whose interval holds the truth.

    Counts of identities from countries that order more or less; how many are from which differs between the arms.
    """
    rng, found = np.random.default_rng(seed), Counter(experiments=experiments)
    means = np.linspace(0.2, 3.0, VALUES)
    truth = lift * float((SHARES * means).sum())
    for _ in range(experiments):
        arms = [_ordered(rng, identities, of) for of in (means, (1 + lift) * means)]
        effect = computed(post_stratified(list(zip(*arms, strict=True)))).effect
        found["effect:low"] += effect.ci_high < truth
        found["effect:high"] += effect.ci_low > truth
        found["effect"] += effect.ci_low <= truth <= effect.ci_high
    return found


def _ordered(rng: np.random.Generator, identities: int, means: Floats) -> list[VariantAggregate]:
    """Return one arm's cells."""
    cell = np.repeat(np.arange(VALUES), rng.multinomial(identities, SHARES))
    orders = rng.poisson(means[cell] * rng.standard_gamma(2.0, identities) / 2)
    n, y, yy = (np.bincount(cell, weights, minlength=VALUES).tolist() for weights in (None, orders, orders * orders))
    return [
        VariantAggregate(int(size), total / max(size, 1), max(0.0, squares - total * total / max(size, 1)))
        for size, total, squares in zip(n, y, yy, strict=True)
    ]


def sliced(seed: Seed, experiments: int, *, looks: int, batch: int) -> Counter[str]:
    """Count A/A tests in which any slice of counts by a property of the orders is called a difference at any look.

    The slices hang together: who orders much does so in all of them.
    """
    rng = np.random.default_rng(seed)
    arms = [_slices(rng, experiments, looks, batch) for _ in range(2)]
    log_m = [log_anytime(between(*each), Design()) for each in zip(*arms, strict=True)]
    rejected = rejected_together(np.exp(-np.maximum(np.array(log_m), 0)), Design().alpha)
    return Counter(experiments=experiments, any=int(rejected.any(axis=(0, 2)).sum()))


def _slices(rng: np.random.Generator, experiments: int, looks: int, batch: int) -> list[Sums]:
    shares = 1 / np.arange(1, SLICES + 1) / (1 / np.arange(1, SLICES + 1)).sum()
    keen, found = rng.standard_gamma(KEENNESS, (experiments, looks, batch)) / KEENNESS, []
    for share in shares:
        orders = rng.poisson(share * keen)
        y, yy, nonzero = (
            each.sum(axis=2).cumsum(axis=1).astype(float) for each in (orders, orders * orders, orders > 0)
        )
        found.append(Sums(sizes_at_looks(looks, batch), y, yy, y, nonzero))
    return found


def funnel_over_time(seed: Seed, experiments: int, funnel: Funnel, *, identities: int, looks: int) -> Counter[str]:
    """Count A/A tests that are called at any look, of identities exposed at once who take a while from step to step."""
    rng = np.random.default_rng(seed)
    arms = [arm_over_time(rng, experiments, funnel, identities=identities, looks=looks) for _ in range(2)]
    log_m = log_anytime(between(arms[0], arms[1], proportions=True), Design())
    return Counter(experiments=experiments, anytime=int((log_m >= -math.log(Design().alpha)).any(axis=1).sum()))


def arm_over_time(rng: np.random.Generator, experiments: int, funnel: Funnel, *, identities: int, looks: int) -> Sums:
    """Return one arm; every step takes half of the duration, shared out among the steps, on average."""
    steps = len(funnel.steps)
    by_then = gammainc(steps, 2 * steps * np.arange(1.0, looks + 1) / looks)  # of those who come through at all
    new = np.diff(by_then, prepend=0) * math.prod(funnel.steps)
    converted = rng.multinomial(identities, np.append(new, 1 - new.sum()), experiments)[:, :-1].cumsum(axis=1)
    y = converted.astype(float)
    return Sums(np.full(looks, float(identities)), y, y, y, y)
