"""Many secondary metrics: how often one of them is called a difference by chance, judged alone and together."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.stats.arrays import Floats
from tests.calibration.peeking import between, log_anytime
from tests.calibration.populations import Binary, Seed

METRICS, TREATMENTS = 10, 2  # the treatments of a metric share its control, so that comparisons hang together

Rejected = npt.NDArray[np.bool_]  # of shape (comparisons, experiments, looks)


def secondary_metrics(
    seed: Seed, experiments: int, still: Binary, moved: Binary, design: Design, *, moving: int, looks: int, batch: int
) -> Counter[str]:
    """Experiments on METRICS proportions, of which the first treatment moves the first `moving`.

    Two rules, each comparison `alone` at alpha and all `together` by Benjamini-Hochberg, counted by
    any:   a verdict on any comparison at any look
    first: a verdict that does not hold, picked at random from those shown at the first look that shows one
    last:  the same at the last look; the share of experiments is the false discovery rate
    found: the first metric that moves, at the last look
    """
    rng = np.random.default_rng(seed)
    log_m, moves = [], []
    for metric in range(METRICS):
        control = still(rng, experiments, looks, batch)
        for treatment in range(TREATMENTS):
            moves.append(treatment == 0 and metric < moving)
            population = moved if moves[-1] else still
            paths = between(control, population(rng, experiments, looks, batch), proportions=True)
            log_m.append(log_anytime(paths, design))
    p_values = np.exp(-np.maximum(np.array(log_m), 0))
    found: Counter[str] = Counter(experiments=experiments)
    rules: dict[str, Rejected] = {
        "alone": p_values <= design.alpha,
        "together": rejected_together(p_values, design.alpha),
    }
    for rule, rejected in rules.items():
        picked = np.where(rejected, rng.random((len(moves), experiments, 1)), -1).argmax(axis=0)
        any_shown: Rejected = np.logical_or.reduce(rejected, axis=0)
        false = any_shown & ~np.array(moves)[picked]
        first = any_shown.argmax(axis=1)
        found[f"{rule}:any"] = int(any_shown.any(axis=1).sum())
        found[f"{rule}:first"] = int(false[np.arange(experiments), first].sum())
        found[f"{rule}:last"] = int(false[:, -1].sum())
        found[f"{rule}:found"] = int(rejected[0, :, -1].sum())
    return found


def rejected_together(p_values: Floats, alpha: float) -> Rejected:
    """`benjamini_hochberg_levels` over arrays, the comparisons of a family along the first axis."""
    m = len(p_values)
    ranks = np.arange(1, m + 1).reshape(-1, *[1] * (p_values.ndim - 1))
    rejections = np.where(np.sort(p_values, axis=0) <= alpha * (ranks / m), ranks, 1).max(axis=0)
    rejected: Rejected = p_values <= alpha * (rejections / m)
    return rejected
