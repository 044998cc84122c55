"""False harm: how often any of several guardrails is ever `harmed` where nothing differs (rule C10).

Conversions of independent guardrails without a margin, in arms that grow from refresh to refresh, judged by the
interval that the pipeline judges them by. No pipeline: the question is how the errors of several add up.
"""

import numpy as np

from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.confidence_sequence import boundary
from experiment_pipeline.stats.evidence import UNPLANNED

SEED = 20_261_130
RATE, REFRESHES, NEW_IDENTITIES = 0.1, 30, 1_000  # new identities of an arm at each refresh
GUARDRAILS = (1, 2, 3, 5, 10)


def false_rollbacks(experiments: int, *, alpha: float = 0.05, seed: int = SEED) -> dict[int, float]:
    """Return the share of experiments in which some guardrail was ever harmed, by the number of guardrails."""
    rng = np.random.default_rng(seed)
    shape = experiments, max(GUARDRAILS)
    control, treatment, harmed = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    for refresh in range(1, REFRESHES + 1):
        control += rng.binomial(NEW_IDENTITIES, RATE, shape)
        treatment += rng.binomial(NEW_IDENTITIES, RATE, shape)
        z, evidence = _compared(control, treatment, refresh * NEW_IDENTITIES)
        harmed |= z > boundary(evidence, UNPLANNED, alpha)
    return {number: float(harmed[:, :number].any(axis=1).mean()) for number in GUARDRAILS}


def _compared(control: Floats, treatment: Floats, n: int) -> tuple[Floats, Floats]:
    """Return z, above 0 where the treatment has more, and the evidence, as `accrued_evidence` has it of conversions."""
    shares = control / n, treatment / n
    error = np.sqrt(sum(share * (1 - share) for share in shares) / (n - 1))
    pooled = (shares[0] + shares[1]) / 2
    information = (shares[0] ** 2 + shares[1] ** 2) / 2 / error**2
    evidence: Floats = information * (1 + (pooled / (1 - pooled)) ** 2)
    return (shares[1] - shares[0]) / error, evidence
