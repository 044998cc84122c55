"""A guardrail with a margin: the treatment is compared with the worst that it may come to (rule C9).

"Not shown to be worse" is said of every small experiment. With a margin m a guardrail says more: that the treatment is
shown to be less than m worse than control, or more than that. This is a test of non-inferiority, on the anytime-valid
interval of `mean_t - (1 -+ m) mean_c`, so that it holds at every refresh (docs/adr/0042).
"""

import math
from dataclasses import dataclass, replace
from typing import TypeVar

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.stats.confidence_sequence import AnytimeEffect, anytime_effect
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.evidence import (
    UNPLANNED,
    Evidence,
    accrued_evidence,
    planned_evidence,
    relative_information,
)
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.verdict import Verdict

# Of the interval's mixture: for the distance that is looked for where nothing differs, which is the margin. The rest is
# for larger harm, that is to be shown long before a difference as small as the margin could be.
WEIGHT_OF_MARGIN = 0.8

TIED_VALUES = NotComputable("tied_values")  # rule C12
WITHHELD = (NotComputable("control_mean_not_positive"), TIED_VALUES)  # which more data need not cure

Arm = TypeVar("Arm", VariantAggregate, PairAggregate)


@dataclass(frozen=True, slots=True)
class MarginReading:
    """How far the treatment is from the margin, in the metric's unit: 0 is exactly at it.

    Attributes:
        effect: `mean_t - (1 -+ margin) mean_c`, with the interval of this look alone.
        anytime: the interval that the verdict is read from, and the p-value of "exactly at the margin".
    """

    effect: Effect
    anytime: AnytimeEffect


def at_margin(control: Arm, expected_direction: ExpectedDirection, margin: float) -> Arm:
    """Return control as it would be at the margin: every value times `1 - margin` or `1 + margin`.

    Its standard error is that of `(1 -+ margin) mean_c`. Of a pair the metric itself is multiplied, y, and its
    pre-period stays, so that the adjustment of `cuped` is that of the difference from the margin.

    Args:
        control: the arm that is compared with.
        expected_direction: `not_decrease` or `not_increase`.
        margin: by how much of control's mean the treatment may be worse; 0.02 is two per cent.

    Returns:
        The arm, in the metric's unit.

    Raises:
        ValueError: the expectation makes no guardrail, or the margin is out of range; names it.

    Example:
        >>> at_margin(VariantAggregate(n=1_000, mean=0.5, m2=250.0), ExpectedDirection.NOT_DECREASE, 0.1)
        VariantAggregate(n=1000, mean=0.45, m2=202.5)
    """
    check_margin(expected_direction, margin)
    factor = _factor(expected_direction, margin)
    if isinstance(control, PairAggregate):
        y = control.mean_y * factor, control.m2_x, control.m2_y * factor**2, control.c_xy * factor
        return PairAggregate(control.n, control.mean_x, *y)
    return VariantAggregate(control.n, control.mean * factor, control.m2 * factor**2)


def _factor(expected_direction: ExpectedDirection, margin: float) -> float:
    return 1 - margin if expected_direction is ExpectedDirection.NOT_DECREASE else 1 + margin


def check_margin(expected_direction: ExpectedDirection, margin: float) -> None:
    """Refuse a margin that no guardrail can have.

    Raises:
        ValueError: the expectation makes no guardrail; the margin is not above 0, not finite, or takes everything.
    """
    if not expected_direction.is_guardrail:
        raise ValueError(f"margin: only not_decrease and not_increase have one, got {expected_direction.value}")
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin: must be above 0 and finite, got {margin}")
    if expected_direction is ExpectedDirection.NOT_DECREASE and margin >= 1:
        raise ValueError(f"margin: must be below 1 for not_decrease, got {margin}")


def margin_evidence(
    clock: Clock,
    control: VariantAggregate,
    treatment: VariantAggregate,
    events: tuple[float, float],
    margin: float,
) -> Evidence:
    """Return the evidence of a guardrail: the clock of its metric, tuned to the margin.

    The margin is what a design's effect is elsewhere, fixed before the start: where nothing differs, the treatment is
    that far from it. Conversions run on their odds, `(mean / SE)^2`, as a design's do at its planned end: the factor
    that they have elsewhere needs a baseline, and without one it would tune an interval for a share of 0.95 to a lift
    19 times as large.

    Args:
        clock: how the evidence of the metric accrues.
        control: the arm that is compared with, as it is and not at the margin, of two identities or more.
        treatment: the arm that is compared, of two identities or more.
        events: of control and treatment that count.
        margin: of the guardrail.

    Example:
        >>> arm = VariantAggregate(n=10_000, mean=0.1, m2=900.0)
        >>> found = margin_evidence(Clock.ODDS, arm, arm, (1_000, 1_000), 0.05)
        >>> round(found.amount, 1), [(lift, round(weight, 2)) for lift, weight in found.mixture]
        (555.5, [(0.05, 0.8), (0.16, 0.09), (0.07, 0.09), (0.02, 0.02)])
    """
    if clock is Clock.ODDS:
        amount = relative_information(control, treatment)
    else:
        # Of a design only conversions read the baseline, which nobody has to know here.
        amount = accrued_evidence(clock, control, treatment, events, Design(mde=margin, baseline=1.0)).amount
    larger = tuple((lift, (1 - WEIGHT_OF_MARGIN) * weight) for lift, weight in UNPLANNED)
    return Evidence(amount, ((margin, WEIGHT_OF_MARGIN), *larger))


def planned_margin_evidence(
    clock: Clock, design: Design, expected_direction: ExpectedDirection, margin: float, treatments: int
) -> float | NotComputable:
    """Return the evidence of `margin_evidence` with which a fixed-sample test shows that a margin is kept.

    With the design's power where nothing differs, for then the treatment is the margin away from it; the design's mde
    is not read. It is `planned_evidence` for the margin times `(1 + (1 -+ margin)^2) / 2`, the variance of the
    difference from the margin over that of the plain one in arms of one size. Withheld: as `planned_evidence`.

    Args:
        clock: how the evidence of the metric accrues.
        design: its alpha and power; one without a baseline plans nothing.
        expected_direction: `not_decrease` or `not_increase`.
        margin: of the guardrail.
        treatments: that are compared with control.

    Raises:
        ValueError: as `check_margin`.

    Example:
        >>> design = Design(mde=0.1, baseline=800.0)
        >>> round(planned_margin_evidence(Clock.INFORMATION, design, ExpectedDirection.NOT_DECREASE, 0.02, 1))
        19234
    """
    check_margin(expected_direction, margin)
    planned = planned_evidence(clock, replace(design, mde=margin), treatments)
    if isinstance(planned, NotComputable):
        return planned
    return planned * (1 + _factor(expected_direction, margin) ** 2) / 2


def margin_reading(
    control_at_margin: VariantAggregate, treatment: VariantAggregate, evidence: Evidence, *, alpha: float = 0.05
) -> MarginReading | NotComputable:
    """Return how far the treatment is from the margin: `D = mean_t - (1 -+ m) mean_c`.

    `SE(D)^2 = var_t / n_t + (1 -+ m)^2 var_c / n_c`, and the larger of it and the pooled one for the anytime-valid
    interval, as for any effect. Withheld: `control_mean_not_positive`, for a share of nothing or of a loss is no
    margin; `fewer_than_two_identities`; `out_of_range`.

    Args:
        control_at_margin: control from `at_margin`, adjusted for its pre-period afterwards where the metric has one.
        treatment: the arm that is compared.
        evidence: from `margin_evidence`.
        alpha: the level, strictly between 0 and 1.

    Raises:
        ValueError: `alpha` is out of range.

    Example:
        >>> arm = VariantAggregate(n=10_000, mean=0.5, m2=2_500.0)
        >>> evidence = margin_evidence(Clock.ODDS, arm, arm, (5_000, 5_000), 0.1)
        >>> found = margin_reading(at_margin(arm, ExpectedDirection.NOT_DECREASE, 0.1), arm, evidence)
        >>> round(found.effect.value, 3), round(found.anytime.ci_low, 3), round(found.anytime.ci_high, 3)
        (0.05, 0.028, 0.072)
    """
    difference = effect(control_at_margin, treatment, alpha=alpha)
    if isinstance(difference, NotComputable):
        return difference
    if control_at_margin.mean <= 0:
        return NotComputable("control_mean_not_positive")
    anytime = anytime_effect(difference, control_at_margin, treatment, evidence, alpha=alpha)
    return MarginReading(difference, anytime)


def is_within_margin(distance: float, expected_direction: ExpectedDirection) -> bool:
    """Return whether a distance from the margin, treatment less control at it, is on the side that is kept."""
    return distance > 0 if expected_direction is ExpectedDirection.NOT_DECREASE else distance < 0


def decide_margin(
    anytime: AnytimeEffect | NotComputable,
    expected_direction: ExpectedDirection,
    *,
    trustworthy: bool,
    readable: bool = True,
) -> Verdict:
    """Return the verdict of one treatment on a guardrail with a margin.

    - While a verdict is withheld (`readable` is false, control's mean is not positive, or values are tied):
      `inconclusive`.
    - No interval yet: `collecting_data`.
    - `ok` once the interval lies wholly within the margin: the treatment is shown to be less than that worse.
    - `harmed` once it lies wholly beyond, trustworthy or not: a warning is not withheld.
    - `inconclusive`: neither is shown, or it would be `ok` and the sample ratio is not trustworthy (rule S3).

    Each of `ok` and `harmed` is said at any look with probability of at most alpha where it is false.

    Args:
        anytime: the interval around the difference from the margin, at its level, or why there is none.
        expected_direction: `not_decrease` or `not_increase`.
        trustworthy: whether the sample ratio is.
        readable: whether a verdict may rest on the values (rules E5, M3).

    Example:
        >>> beyond = AnytimeEffect(ci_low=-0.02, ci_high=-0.001, p_value=0.01)
        >>> decide_margin(beyond, ExpectedDirection.NOT_DECREASE, trustworthy=True)
        <Verdict.HARMED: 'harmed'>
    """
    if not readable:
        return Verdict.INCONCLUSIVE
    if isinstance(anytime, NotComputable):
        return Verdict.INCONCLUSIVE if anytime in WITHHELD else Verdict.COLLECTING_DATA
    side = (anytime.ci_low > 0) - (anytime.ci_high < 0)
    better = side if expected_direction is ExpectedDirection.NOT_DECREASE else -side
    if better < 0:
        return Verdict.HARMED
    return Verdict.OK if better > 0 and trustworthy else Verdict.INCONCLUSIVE
