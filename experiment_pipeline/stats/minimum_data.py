"""The floors under which nothing is inferred: too little data is `collecting_data`, not a wide interval."""

from experiment_pipeline.domain.floors import Counted, Floors
from experiment_pipeline.stats.not_computable import NotComputable

ROUNDING = 1e-9  # of n q (1 - q)
HALF = 0.5  # a conversion: what rounding may leave out of a sum of zeros and ones


def below_floor(
    identities: tuple[int, int], counted: tuple[float, float], kind: Counted, floors: Floors
) -> NotComputable | None:
    """Return why a comparison of two arms has too little data yet, or None.

    `below_minimum_identities` in either arm; of shares `below_minimum_conversions`, of means and ratios
    `below_minimum_nonzero`, of quantiles `too_few_values`. The normal approximation of a proportion needs conversions,
    and that of any mean needs identities that are not 0: while the largest purchases of an arm of few buyers have not
    come yet, its mean is too low, and so is its variance (docs/adr/0034). A quantile needs values on its rarer side.

    Args:
        identities: of control and of treatment that are in the metric.
        counted: of control and of treatment, of the kind that the metric needs.
        kind: which identities are counted.
        floors: how many of each an arm must have.

    Example:
        >>> below_floor((400, 400), (40, 40), Counted.NONZERO, Floors())
        NotComputable(reason='below_minimum_nonzero')
    """
    if min(identities) < floors.identities:
        return NotComputable("below_minimum_identities")
    least = floors.least(kind)
    match kind:
        case Counted.CONVERSIONS:
            return NotComputable("below_minimum_conversions") if min(counted) < least - HALF else None
        case Counted.NONZERO:
            return NotComputable("below_minimum_nonzero") if min(counted) < least else None
        case Counted.BEYOND_QUANTILE:
            return NotComputable("too_few_values") if min(counted) < least * (1 - ROUNDING) else None
