"""The normal law, as every other method here uses it: quantiles of a level and tails that do not underflow early."""

import math

from scipy import special

SQRT_2PI = math.sqrt(2 * math.pi)
SMALLEST_LEVEL = 1e-307  # a quarter of anything smaller is not a normal float


def check_level(name: str, value: float) -> None:
    """Refuse a probability that is not strictly between 0 and 1 (or is too small for a float).

    Raises:
        ValueError: names the argument.
    """
    if not SMALLEST_LEVEL <= value < 1:
        raise ValueError(f"{name}: must lie strictly between 0 and 1, got {value}")


def two_sided_quantile(alpha: float) -> float:
    """Return the z with `P(|Z| > z) = alpha`; 1.96 at 0.05.

    Example:
        >>> round(two_sided_quantile(0.05), 4)
        1.96
        >>> f"{two_sided_p(two_sided_quantile(1e-300)):.6g}"
        '1e-300'
    """
    check_level("alpha", alpha)
    return -float(special.ndtri(alpha / 2))


def lower_quantile(probability: float) -> float:
    """Return the z with `P(Z < z) = probability`."""
    return float(special.ndtri(probability))


def two_sided_p(z: float) -> float:
    """Return `P(|Z| > |z|)` from the lower tail, so that it keeps its digits down to 1e-300."""
    return 2 * float(special.ndtr(-abs(z)))


def cdf(z: float) -> float:
    """Return `Phi(z)`."""
    return float(special.ndtr(z))


def density(z: float) -> float:
    """Return `phi(z)`."""
    return math.exp(-z * z / 2) / SQRT_2PI
