"""Whether identities that have a value at all are as frequent in one arm as in the other.

A mean over those who have a value compares different people where the treatment decides who has one.
"""

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.stats.confidence_sequence import anytime_effect
from experiment_pipeline.stats.effect import effect
from experiment_pipeline.stats.evidence import accrued_evidence
from experiment_pipeline.stats.not_computable import NotComputable

MISSING_ALPHA = 0.001  # as rare as a false alarm of the split
LEAST_EXPECTED = 5  # identities of the rarer kind that each arm should have: Cochran's rule for such tables


def missing_values_differ(control: tuple[int, int], treatment: tuple[int, int]) -> bool:
    """Return whether the share of identities with a value differs between the arms, by an anytime-valid test.

    The test is that of two proportions in `confidence_sequence`, without a design, at `MISSING_ALPHA` for all looks. It
    waits until each arm should have `LEAST_EXPECTED` identities with a value, and as many without.

    Args:
        control: its identities, and how many of them have a value.
        treatment: likewise.

    Example:
        >>> missing_values_differ((10_000, 5_000), (10_000, 5_100))
        False
        >>> missing_values_differ((10_000, 5_000), (10_000, 4_000))
        True
    """
    (n_c, with_c), (n_t, with_t) = control, treatment
    everybody, with_value = n_c + n_t, with_c + with_t
    rarer = min(with_value, everybody - with_value)
    if rarer * min(n_c, n_t) < LEAST_EXPECTED * max(everybody, 1):
        return False
    arms = _share(n_c, with_c), _share(n_t, with_t)
    difference = effect(*arms)
    if isinstance(difference, NotComputable):
        return False
    evidence = accrued_evidence(Clock.ODDS, *arms, (with_c, with_t), Design())
    return anytime_effect(difference, *arms, evidence, alpha=MISSING_ALPHA).p_value <= MISSING_ALPHA


def _share(n: int, with_value: int) -> VariantAggregate:
    return VariantAggregate(n, with_value / n, with_value * (1 - with_value / n))
