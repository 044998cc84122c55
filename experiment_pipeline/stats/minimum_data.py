"""The floors under which nothing is inferred: too little data is `collecting_data`, not a wide interval."""

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.stats.not_computable import NotComputable


def below_floor(
    control: VariantAggregate,
    treatment: VariantAggregate,
    aggregation: Aggregation,
    *,
    nonzero: tuple[int, int],
    minimum_identities: int,
    minimum_conversions: int,
    minimum_nonzero: int,
) -> NotComputable | None:
    """Return why this comparison has too little data yet, or None.

    `below_minimum_identities` in either arm; for occurrence `below_minimum_conversions`, where an arm's conversions
    are the sum of its zeros and ones; for count, sum and mean `below_minimum_nonzero`. The normal approximation of a
    proportion needs conversions, and that of any mean needs identities that are not 0: while the largest purchases of
    an arm of few buyers have not come yet, its mean is too low, and so is its variance (docs/adr/0034).

    Args:
        control: the arm that is compared with.
        treatment: the arm that is compared.
        aggregation: how the metric makes one number of an identity's events.
        nonzero: identities of control and of treatment whose value is not 0; not read for occurrence.
        minimum_identities: analysed identities that each arm must have.
        minimum_conversions: conversions that each arm must have, for occurrence alone.
        minimum_nonzero: identities that are not 0 that each arm must have, for every other aggregation.

    Example:
        >>> few = VariantAggregate(n=400, mean=0.1, m2=36.0)
        >>> floors = {"minimum_identities": 50, "minimum_conversions": 5, "minimum_nonzero": 100}
        >>> below_floor(few, few, Aggregation.SUM, nonzero=(40, 40), **floors)
        NotComputable(reason='below_minimum_nonzero')
    """
    arms = (control, treatment)
    if any(arm.n < minimum_identities for arm in arms):
        return NotComputable("below_minimum_identities")
    if aggregation is not Aggregation.OCCURRENCE:
        return NotComputable("below_minimum_nonzero") if min(nonzero) < minimum_nonzero else None
    if any(arm.sum < minimum_conversions - 0.5 for arm in arms):
        return NotComputable("below_minimum_conversions")
    return None
