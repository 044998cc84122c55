"""The evidence of a comparison so far: the clock of its anytime-valid interval (rule C1).

The standardised difference of two arms wanders, and the interval must be as wide as it can have wandered. How far that
is depends on what has accrued, and not on how many identities there are: where these come at once and buy over a month,
their number stands still while the difference goes on. docs/adr/0038 has what was tried and measured.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.stats.normal import lower_quantile, two_sided_quantile
from experiment_pipeline.stats.not_computable import NotComputable

Mixture: TypeAlias = tuple[tuple[float, float], ...]  # lifts and their weights, which add up to 1

# What an experiment without a design is tuned to: lifts between 5 and 20 %, and a little to small ones, for experiments
# that are very large. A wrong guess costs width, never validity.
UNPLANNED: Mixture = ((0.16, 0.45), (0.07, 0.45), (0.02, 0.1))

LARGEST, LARGEST_ODDS, LARGEST_EXPONENT = 1e40, 1e16, 90.0  # a float has no use for more


AHEAD = (Clock.SATURATING, Clock.EXTREMES, Clock.REPLACED)  # of the information about the lift


@dataclass(frozen=True, slots=True)
class Evidence:
    """How far a comparison has come.

    Attributes:
        amount: accrued so far, without a unit: about `(mean / SE)^2`, or 1 for every four counted events. A test with
            a fixed sample has 80 % power for a lift of l at 5 % where `(mean / SE)^2` reaches `7.85 / l^2`.
        mixture: the lifts that the interval is tuned to.
        error_factor: by which the standard error is taken as larger, where a part of the difference is faster than the
            evidence; from `late_values`.
    """

    amount: float
    mixture: Mixture
    error_factor: float = 1.0


def accrued_evidence(
    clock: Clock,
    control: VariantAggregate,
    treatment: VariantAggregate,
    events: tuple[float, float],
    design: Design,
) -> Evidence:
    """Return how far a comparison of two arms has come.

    - With a design, `(mean / SE)^2`: the information about the lift. Where events come at any rate, the same or
      another for every identity, the correlation of two moments is that of a Brownian motion that runs on this.
    - `odds`: the same, which is `n p / (1 - p)` with `n = n_c n_t / (n_c + n_t)`, times `1 + odds^2`. A conversion
      happens once, so that the motion runs on the odds; the factor is for identities that arrive while most have
      converted, and decide the difference for a while. With a design it is the cube of that, over its value at the
      baseline: at the planned end it is 1.
    - `information`: the same, with a design and without. So it is for `saturating`, times `1 + odds^2` again, where the
      odds are those that a sum of independent conversions with this mean and variance has: `mean / variance - 1`.
    - Others without a design: n times the counted events of an identity, of `identities` times 1. They have no unit,
      never fall, and hold for means of any sign.
    - `extremes` and `replaced`: that times `_replacement` of the counted events of an identity, for while identities
      stand still, their values go on changing.

    Args:
        clock: how the evidence accrues.
        control: the arm that is compared with, of two identities or more.
        treatment: the arm that is compared, of two identities or more.
        events: of control and treatment that count; not read for odds, saturating, information and identities.
        design: the lift that the experiment was made to detect; one without, for a metric that it was not made for.

    Returns:
        The evidence; it is 0 where no event counts.

    Raises:
        ValueError: the design is not finite; names it.

    Example:
        >>> arm = VariantAggregate(n=10_000, mean=0.1, m2=900.0)
        >>> found = accrued_evidence(Clock.ODDS, arm, arm, (1_000, 1_000), Design(mde=0.1, baseline=0.1))
        >>> round(found.amount, 1), found.mixture
        (555.5, ((0.1, 1.0),))
    """
    lift = planned_lift(design)
    mixture = UNPLANNED if lift is None else ((lift, 1.0),)
    if clock is Clock.ODDS:
        ahead = 1 + _odds(control, treatment) ** 2
        if lift is not None:
            ahead = (ahead / (1 + _odds_of(design.baseline or 0) ** 2)) ** 3
        return Evidence(min(relative_information(control, treatment) * ahead, LARGEST), mixture)
    identities = control.n + treatment.n
    of_each = sum(events) / identities
    if lift is not None or clock in (Clock.INFORMATION, Clock.SATURATING):
        amount = relative_information(control, treatment)
    else:
        amount = control.n * (treatment.n / identities) * (1.0 if clock is Clock.IDENTITIES else of_each)
    if clock is Clock.SATURATING:
        amount *= 1 + _odds_of_parts(control, treatment) ** 2
    return Evidence(min(amount * _replacement(clock, of_each), LARGEST), mixture)


def planned_evidence(clock: Clock, design: Design, treatments: int) -> float | NotComputable:
    """Return the evidence of one comparison at the planned end: `((z_(1 - alpha/2k) + z_power) / mde)^2`.

    With it a test with a fixed sample has the design's power for the design's lift, at alpha shared out among k
    treatments. The clocks of `accrued_evidence` are this at the planned end, but those that run ahead of the
    information by a factor that no design knows. Withheld: `design_incomplete`, without `mde` and `baseline` or with a
    power that is no more than alpha; `evidence_not_planned`, for clocks that run ahead.

    Args:
        clock: how the evidence accrues.
        design: the lift that the experiment was made to detect.
        treatments: that are compared with control.

    Example:
        >>> round(planned_evidence(Clock.ODDS, Design(mde=0.1, baseline=0.1), treatments=1), 1)
        784.9
    """
    lift = planned_lift(design)
    if lift is None or design.power <= design.alpha:
        return NotComputable("design_incomplete")
    if clock in AHEAD:
        return NotComputable("evidence_not_planned")
    quantiles = two_sided_quantile(design.alpha / treatments) + lower_quantile(design.power)
    return (quantiles / lift) ** 2


def _replacement(clock: Clock, events: float) -> float:
    """Return the factor for values that later events take the place of, by the counted events of an identity.

    The largest of k values is that of their first half with probability one half, so that the correlation of two
    moments may be as low as the ratio of their events, where that of a sum is its root; and while identities arrive,
    the newest of them differ most. The last value correlates with itself later by the probability that no event has
    come since, `exp(-events)`.
    """
    match clock:
        case Clock.EXTREMES:
            return max(1.0, min(events, LARGEST_ODDS)) ** 2
        case Clock.REPLACED:
            return math.exp(min(2 * max(0.0, events - 1), LARGEST_EXPONENT))
        case _:
            return 1.0


def planned_lift(design: Design) -> float | None:
    """Return the lift that the design is made for; None where it does not name it and the mean that it is of."""
    if not design.mde or not design.baseline:
        return None
    if not (math.isfinite(design.mde) and math.isfinite(design.baseline)):
        raise ValueError(f"design: mde and baseline must be finite, got {design.mde} and {design.baseline}")
    return design.mde


def relative_information(control: VariantAggregate, treatment: VariantAggregate) -> float:
    """Return `(mean / SE)^2`: the mean square of both means over the pooled standard error; 0 without any value."""
    in_errors = math.hypot(control.mean, treatment.mean) / math.sqrt(2)
    if in_errors == 0:
        return 0.0
    error = pooled_standard_error(control, treatment)
    return min((in_errors / error) ** 2, LARGEST) if error > in_errors / math.sqrt(LARGEST) else LARGEST


def _odds(control: VariantAggregate, treatment: VariantAggregate) -> float:
    """Return the pooled odds of a conversion."""
    return _odds_of((control.sum + treatment.sum) / (control.n + treatment.n))


def _odds_of_parts(control: VariantAggregate, treatment: VariantAggregate) -> float:
    """Return the odds of the conversions that values are a sum of; 0 where they differ more than such sums do."""
    identities = control.n + treatment.n
    mean = control.mean * (control.n / identities) + treatment.mean * (treatment.n / identities)
    variance = control.m2 / (identities - 2) + treatment.m2 / (identities - 2)
    if mean <= variance:
        return 0.0
    return min(mean / variance - 1, LARGEST_ODDS) if variance > mean / LARGEST_ODDS else LARGEST_ODDS


def _odds_of(p: float) -> float:
    """Return `p / (1 - p)`; 0 and LARGEST_ODDS where p is no probability."""
    return min(p / (1 - p), LARGEST_ODDS) if 0 < p < 1 else LARGEST_ODDS * (p >= 1)


def pooled_standard_error(control: VariantAggregate, treatment: VariantAggregate) -> float:
    """Return the pooled standard error, as if both variances were one.

    `sqrt(s^2 (1 / n_c + 1 / n_t))` with `s^2 = (m2_c + m2_t) / (n_c + n_t - 2)`.
    """
    degrees = control.n + treatment.n - 2
    variance = control.m2 / degrees + treatment.m2 / degrees
    return math.sqrt(variance) * math.sqrt(1 / control.n + 1 / treatment.n)
