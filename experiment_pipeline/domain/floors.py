"""Floors: the least data that inference needs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from experiment_pipeline.domain.metrics import Metric, Quantile

if TYPE_CHECKING:
    from experiment_pipeline.settings import Settings


class Counted(StrEnum):
    """The identities of an arm that its normal approximation rests on (rule C4).

    - `conversions`: of a share of identities, those of which it is true.
    - `nonzero`: of a mean those whose value is not 0, of those that have a value; of a ratio those whose numerator is
      not 0 and those whose denominator is not 0, whichever are fewer.
    - `beyond_quantile`: of a quantile, `n q (1 - q)`.
    """

    CONVERSIONS = "conversions"
    NONZERO = "nonzero"
    BEYOND_QUANTILE = "beyond_quantile"


def counted_by(metric: Metric) -> Counted:
    """Return which identities must be enough for a metric."""
    if isinstance(metric.statistic, Quantile):
        return Counted.BEYOND_QUANTILE
    return Counted.CONVERSIONS if metric.is_proportion else Counted.NONZERO


@dataclass(frozen=True, slots=True)
class Floors:
    """Minimum of data that an arm needs before anything is inferred from it.

    identities:      analysed identities
    conversions:     of shares of identities
    nonzero:         identities whose value is not 0, of means and ratios
    beyond_quantile: `n q (1 - q)`, of quantiles; no setting
    """

    identities: int = 50
    conversions: int = 5
    nonzero: int = 150
    beyond_quantile: int = 10

    @classmethod
    def of(cls, settings: "Settings") -> "Floors":
        """Return the floors of an installation."""
        return cls(settings.minimum_identities, settings.minimum_conversions, settings.minimum_nonzero)

    def least(self, counted: Counted) -> int:
        """Return how many of these identities an arm must have."""
        match counted:
            case Counted.CONVERSIONS:
                return self.conversions
            case Counted.NONZERO:
                return self.nonzero
            case Counted.BEYOND_QUANTILE:
                return self.beyond_quantile


SHIPPED_FLOORS = Floors()
