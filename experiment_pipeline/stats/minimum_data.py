"""The floors under which nothing is inferred: too little data is `collecting_data`, not a wide interval."""

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.metrics import Aggregation
from experiment_pipeline.stats.not_computable import NotComputable


def below_floor(
    control: VariantAggregate,
    treatment: VariantAggregate,
    aggregation: Aggregation,
    *,
    minimum_identities: int,
    minimum_conversions: int,
) -> NotComputable | None:
    """Return why this comparison has too little data yet, or None.

    `below_minimum_identities` in either arm; for occurrence `below_minimum_conversions`, where an arm's conversions
    are the sum of its zeros and ones. The normal approximation of a proportion needs conversions, not identities.

    Args:
        control: the arm that is compared with.
        treatment: the arm that is compared.
        aggregation: how the metric makes one number of an identity's events.
        minimum_identities: analysed identities that each arm must have.
        minimum_conversions: conversions that each arm must have, for occurrence alone.

    Example:
        >>> few = VariantAggregate(n=40, mean=0.1, m2=3.6)
        >>> below_floor(few, few, Aggregation.OCCURRENCE, minimum_identities=50, minimum_conversions=5)
        NotComputable(reason='below_minimum_identities')
    """
    arms = (control, treatment)
    if any(arm.n < minimum_identities for arm in arms):
        return NotComputable("below_minimum_identities")
    if aggregation is Aggregation.OCCURRENCE and any(arm.sum < minimum_conversions - 0.5 for arm in arms):
        return NotComputable("below_minimum_conversions")
    return None
