"""Floors: the least data that inference needs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiment_pipeline.domain.measures import Aggregation

if TYPE_CHECKING:
    from experiment_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Floors:
    """Minimum of data that an arm needs before anything is inferred from it.

    identities:  analysed identities
    conversions: of occurrence metrics
    nonzero:     identities whose value is not 0, of count, sum and mean metrics
    """

    identities: int = 50
    conversions: int = 5
    nonzero: int = 150

    @classmethod
    def of(cls, settings: "Settings") -> "Floors":
        """Return the floors of an installation."""
        return cls(settings.minimum_identities, settings.minimum_conversions, settings.minimum_nonzero)

    def of_values(self, aggregation: Aggregation) -> int:
        """Return how many identities must have a value other than 0: the conversions, where values are 0 or 1."""
        return self.conversions if aggregation is Aggregation.OCCURRENCE else self.nonzero


SHIPPED_FLOORS = Floors()
