"""The answer of a method that cannot answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotComputable:
    """A result that is withheld, and why. Never 0.5, NaN or infinity in its place.

    reason: a stable snake_case word, e.g. `control_mean_not_positive`; docs/statistics.md lists them all

    Example:
        >>> NotComputable("control_mean_not_positive").reason
        'control_mean_not_positive'
    """

    reason: str
