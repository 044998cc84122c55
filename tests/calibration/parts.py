"""Parts of a metric: how often a funnel, and any value of a dimension, is called a difference by chance."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from experiment_pipeline.domain.experiments import Design
from tests.calibration.families import rejected_together
from tests.calibration.peeking import between, log_anytime
from tests.calibration.populations import Seed, Sums, sizes_at_looks

VALUES = 21  # the twenty largest of a dimension, and the rest


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
    shares = 1 / np.arange(1, VALUES + 1)
    log_m = []
    for number, share in enumerate(shares / shares.sum()):
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
