"""Planned looks: whether a payload is one, its boundary, and what it says (rule C7).

A design with n_looks plans to look when the shares 1 / n, 2 / n .. 1 of its evidence have accrued. The first payload
that has reached such a share is the look; between two looks nothing is compared, however many payloads are published.
Its boundary spends the error of Lan and DeMets at the evidence that it really has, given the looks before it as they
were stored: what was said at a look never changes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from experiment_pipeline.domain.planned_looks import PlannedLook
from experiment_pipeline.stats.group_sequential import LEAST_GROWTH, NEVER, next_boundary
from experiment_pipeline.stats.not_computable import NotComputable


@dataclass(frozen=True, slots=True)
class PlannedLooks:
    """The planned looks at one treatment on one metric.

    Attributes:
        n_looks: as the design plans them.
        looks: in their order, those that were stored and the new one.
        new: the look that this payload is; None where it is none.
        information_fraction: accrued over planned evidence now; None where it is not known.
        withheld: why there is no look; None where there is one.
    """

    n_looks: int
    looks: tuple[PlannedLook, ...]
    new: PlannedLook | None
    information_fraction: float | None
    withheld: NotComputable | None

    @property
    def decide(self) -> bool:
        """Whether the verdict is read from them: wherever the evidence can be planned (rule C8)."""
        return self.withheld is None or self.withheld.reason != "evidence_not_planned"

    @property
    def shown(self) -> int | NotComputable:
        """The side of zero that the last look has shown, 0 for neither; or why there is no look."""
        if self.withheld is not None:
            return self.withheld
        last = self.looks[-1]
        return (1 if last.z > 0 else -1) if last.crossed else 0

    @property
    def are_over(self) -> bool:
        """Whether the last of the planned looks was taken."""
        return bool(self.looks) and self.looks[-1].number == self.n_looks


def next_planned_look(
    past: Sequence[PlannedLook], *, as_of: datetime, fraction: float, z: float, n_looks: int, alpha: float
) -> PlannedLook | None:
    """Return the planned look that a payload is, or None where it is none.

    It is the k-th for the largest k with `fraction >= k / n_looks`; one that reaches several at once is all of them. It
    is none where no further share is reached, or the evidence has hardly grown since the last look: that one waits for
    the next payload.

    Args:
        past: the looks before, in their order.
        as_of: the end of the payload's window.
        fraction: accrued over planned evidence; 1 at the planned end.
        z: the effect over its standard error.
        n_looks: as the design plans them.
        alpha: of this comparison, which is that of the design over the number of treatments.

    Raises:
        ValueError: `alpha` is out of range, or z is not a number.

    Example:
        >>> from datetime import UTC
        >>> now = datetime(2026, 11, 1, tzinfo=UTC)
        >>> look = next_planned_look((), as_of=now, fraction=0.5, z=3.1, n_looks=2, alpha=0.05)
        >>> look.number, round(look.boundary, 3), look.crossed
        (1, 2.963, True)
    """
    if math.isnan(z):
        raise ValueError(f"z: must be a number, got {z}")
    number = reached(fraction, n_looks)
    last = max((look.number for look in past), default=0)
    largest = max((look.information_fraction for look in past), default=0.0)
    if number <= last or fraction < LEAST_GROWTH * largest:
        return None
    boundary = next_boundary(
        [look.information_fraction for look in past],
        [NEVER if look.boundary is None else look.boundary for look in past],
        fraction,
        alpha,
    )
    crossed = abs(z) >= boundary
    return PlannedLook(number, as_of, fraction, None if boundary == NEVER else boundary, z, crossed)


def reached(fraction: float, n_looks: int) -> int:
    """Return the largest k of n_looks with `fraction >= k / n_looks`; 0 before the first.

    Example:
        >>> [reached(fraction, 3) for fraction in (0.33, 1 / 3, 0.99, 1.0, 7.0)]
        [0, 1, 2, 3, 3]
    """
    if not fraction < 1:
        return n_looks
    k = max(0, math.floor(fraction * n_looks) - 1)  # the product may be off by a rounding, the quotients are not
    while (k + 1) / n_looks <= fraction:
        k += 1
    return k
