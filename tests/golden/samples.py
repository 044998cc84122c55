"""Seeded samples that the reference implementations and we are both given, as plain moments."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Arm:
    """x is the pre-period or the denominator, y the metric or the numerator."""

    x: np.ndarray
    y: np.ndarray

    def moments(self) -> dict[str, float]:
        """As `PairAggregate` takes them."""
        dx, dy = self.x - self.x.mean(), self.y - self.y.mean()
        return {
            "n": len(self.x),
            "mean_x": self.x.mean(),
            "mean_y": self.y.mean(),
            "m2_x": dx @ dx,
            "m2_y": dy @ dy,
            "c_xy": dx @ dy,
        }


def arms(seed: int, n_control: int, n_treatment: int) -> tuple[Arm, Arm]:
    """Control and a treatment that raises y by about a tenth; x and y are correlated and never negative."""
    rng = np.random.default_rng(seed)

    def arm(n: int, factor: float) -> Arm:
        habit = rng.standard_gamma(2.0, n)
        return Arm(x=1.0 + rng.poisson(habit), y=factor * (habit + rng.standard_gamma(1.0, n)))

    return arm(n_control, 1.0), arm(n_treatment, 1.1)
