"""Comparisons of treatments with control on one metric, or on one part of it: the numbers, and then the verdict."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import MetricAggregates, VariantAggregate, are_unreadable
from experiment_pipeline.domain.experiments import CONTROL, Design
from experiment_pipeline.domain.floors import Floors, counted_by
from experiment_pipeline.domain.metrics import AttachedMetric, Metric, Quantile
from experiment_pipeline.results.arms import (
    CAP_IS_ZERO,
    ONE_VALUE,
    OUT_OF_RANGE,
    OVERLAPS_EARLIER_PHASE,
    Arm,
    arms_of,
    withheld_for_missing_values,
)
from experiment_pipeline.results.clocks import clock_of
from experiment_pipeline.results.guardrails import BesideMargin, beside_margin
from experiment_pipeline.results.model import (
    AdjustedReading,
    AnytimeReading,
    Comparison,
    MarginComparison,
    Reading,
)
from experiment_pipeline.stats.bayesian import chance_to_be_best, chance_to_win, expected_loss
from experiment_pipeline.stats.confidence_sequence import AnytimeEffect, anytime_effect
from experiment_pipeline.stats.cuped import CupedAdjustment, cuped
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.evidence import Evidence, accrued_evidence
from experiment_pipeline.stats.guardrail import TIED_VALUES, decide_margin
from experiment_pipeline.stats.late_values import widened_for_late_values
from experiment_pipeline.stats.lift import lift
from experiment_pipeline.stats.minimum_data import below_floor
from experiment_pipeline.stats.multiplicity import holm, holm_levels
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.planned_looks import PlannedLooks
from experiment_pipeline.stats.verdict import Verdict, decide

UNREADABLE_VALUES = NotComputable("unreadable_values")  # rule E5


@dataclass(frozen=True, slots=True)
class Accrued:
    """Events of control and treatment that count, and their identities that have a value."""

    events: tuple[float, float]
    with_value: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """A treatment and control with enough data to be compared."""

    control: VariantAggregate
    treatment: VariantAggregate
    effect: Effect
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The same two arms adjusted for their pre-period (rule M11)."""

    pair: Pair
    variance_reduction: float


@dataclass(frozen=True, slots=True)
class Compared:
    """A metric's design, its analysed variants, and every treatment beside control.

    Attributes:
        pairs: as the metric is measured.
        adjusted: for the pre-period, or why not; empty where the metric has none.
        withheld: why there is no verdict on a treatment, whatever the numbers say; None where there may be one.
        beside_margin: every treatment beside control at the margin, or why not; empty without a margin (rule M16).
    """

    attached: AttachedMetric
    design: Design
    arms: dict[str, Arm]
    values: dict[str, int]
    invalid_values: dict[str, int]
    pairs: dict[str, Pair | NotComputable]
    adjusted: dict[str, Adjusted | NotComputable]
    withheld: dict[str, NotComputable | None]
    beside_margin: dict[str, BesideMargin | NotComputable]

    def deciding(self, treatment: str) -> Pair | NotComputable:
        """Return what the verdict is read from: the adjusted arms where the metric has a pre-period (rule C8).

        The plain ones are read where they cannot be adjusted, which the values before the exposures alone determine.
        """
        adjusted = self.adjusted.get(treatment)
        return adjusted.pair if isinstance(adjusted, Adjusted) else self.pairs[treatment]

    def p_values(self) -> dict[str, float]:
        """Return the p-value of every comparison, 1 where it cannot be made yet, or where no verdict may rest on it.

        The interval that comes with it is dropped: only once every p-value of a family is known is the level known at
        which each interval of it is wanted, and `comparisons` computes it then.
        """
        found = {key: _anytime_effect(self.deciding(key), self.design.alpha) for key in self.pairs}
        return {
            key: 1.0 if self.withheld[key] or isinstance(each, NotComputable) else each.p_value
            for key, each in found.items()
        }

    def margin_p_values(self) -> dict[str, float]:
        """Return the same of "exactly at the margin"; empty without a margin."""
        return {
            key: 1.0 if self.withheld[key] or isinstance(each, NotComputable) else each.p_value(self.design.alpha)
            for key, each in self.beside_margin.items()
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """The outcome of a family: the level of every comparison and its adjusted p-value, by treatment.

    at_margin: the same of the comparisons with control at the margin; None without a margin
    """

    levels: Mapping[str, float]
    adjusted_p_values: Mapping[str, float]
    at_margin: "Judged | None" = None


def compared(
    attached: AttachedMetric,
    found: MetricAggregates,
    variants: Collection[str],
    design: Design,
    floors: Floors,
    *,
    withheld: Mapping[str, NotComputable | None] | None = None,
) -> Compared:
    """Return the comparisons of a metric, or of one part of it.

    Args:
        attached: the metric.
        found: its aggregates, or those of the part.
        variants: the analysed ones, control among them.
        design: what the experiment was made to detect, if it was made for this metric.
        floors: how much data an arm needs.
        withheld: of a part, why the whole metric has no verdict on a treatment, so that no part has one either.
    """
    of_whole = {
        key: reason for key, reason in (withheld or {}).items() if reason != TIED_VALUES
    }  # a part may have none
    values = {key: found.values.get(key, 0) for key in variants}
    invalid_values = {key: found.invalid_values.get(key, 0) for key in variants}
    arms = arms_of(attached.metric, found, variants)
    treatments = {key: arm for key, arm in arms.items() if key != CONTROL}
    pairs = {key: _pair(arms[CONTROL], arm, attached.metric, design, floors) for key, arm in treatments.items()}
    adjusted = _adjusted(attached, arms, pairs, design)
    unreadable = any(are_unreadable(values[key], invalid_values[key]) for key in arms)
    return Compared(
        attached=attached,
        design=design,
        arms=arms,
        values=values,
        invalid_values=invalid_values,
        pairs=pairs,
        adjusted=adjusted,
        withheld={
            key: of_whole.get(key)
            or (UNREADABLE_VALUES if unreadable else None)
            or withheld_for_missing_values(arms[CONTROL], arm, attached.metric)
            or _withheld_for_ties(attached, pairs[key])
            for key, arm in treatments.items()
        },
        beside_margin={
            key: _beside_margin(attached, (arms[CONTROL], arm), pairs[key], adjusted.get(key))
            for key, arm in treatments.items()
            if attached.margin is not None
        },
    )


def judged_at_margin(of: Compared) -> Judged | None:
    """Return the outcome of a guardrail's own family beside its margin, by Holm's procedure; None without a margin."""
    if of.attached.margin is None:
        return None
    treatments, p_values = list(of.margin_p_values()), list(of.margin_p_values().values())
    levels = dict(zip(treatments, holm_levels(p_values, of.design.alpha), strict=True))
    return Judged(levels, dict(zip(treatments, holm(p_values), strict=True)))


def comparisons(
    of: Compared, judged: Judged, *, trustworthy: bool, planned: Mapping[str, PlannedLooks] | None = None
) -> tuple[Comparison, ...]:
    """Return the comparisons with their verdicts, once their family is judged.

    Args:
        of: what is compared.
        judged: the outcome of its family.
        trustworthy: whether the split is.
        planned: the planned looks of every treatment, where the design plans any for this metric.
    """
    looks = planned or {}
    return tuple(_comparison(of, key, judged, looks.get(key), trustworthy=trustworthy) for key in of.pairs)


def best_of(of: Compared) -> dict[str, float] | NotComputable:
    """Return the chance of every arm, control included, to be the best one as the metric is measured.

    Withheld where a comparison is: an arm that lacks data may be any.
    """
    arms: dict[str, VariantAggregate] = {}
    for pair in of.pairs.values():
        if isinstance(pair, NotComputable):
            return pair
    for key, arm in of.arms.items():
        if isinstance(arm.reduced, NotComputable):
            return arm.reduced
        arms[key] = arm.reduced
    return chance_to_be_best(arms, of.attached.better_direction)


def _comparison(
    of: Compared, treatment: str, judged: Judged, planned: PlannedLooks | None, *, trustworthy: bool
) -> Comparison:
    attached, plain, adjusted, withheld = of.attached, of.pairs[treatment], of.adjusted.get(treatment), of.withheld
    anytime = _anytime_effect(of.deciding(treatment), judged.levels[treatment])
    verdict = decide(
        planned.shown if planned is not None and planned.decide else anytime,
        direction=attached.metric.direction,
        expected_direction=attached.expected_direction,
        trustworthy=trustworthy,
        readable=withheld[treatment] is None,
    )
    reading, margin = None, None
    if withheld[treatment] is None and not isinstance(anytime, NotComputable):
        reading = _anytime_reading(anytime, treatment, judged)
    if judged.at_margin is not None:
        margin, verdict = _at_margin(of, treatment, judged.at_margin, trustworthy=trustworthy)
    return Comparison(
        treatment=treatment,
        reading=_reading(plain, of),
        verdict=verdict,
        anytime=reading,
        withheld=withheld[treatment],
        adjusted=_adjusted_reading(adjusted, of),
        margin=margin,
        planned=planned,
    )


def _anytime_reading(anytime: AnytimeEffect, treatment: str, judged: Judged) -> AnytimeReading:
    level, p_value = judged.levels[treatment], judged.adjusted_p_values[treatment]
    return AnytimeReading(anytime.p_value, p_value, anytime.ci_low, anytime.ci_high, level)


def _at_margin(
    of: Compared, treatment: str, judged: Judged, *, trustworthy: bool
) -> tuple[MarginComparison | NotComputable, Verdict]:
    """Return how far a treatment is from the guardrail's margin, and its verdict (rule C9)."""
    pair, withheld = of.beside_margin[treatment], of.withheld[treatment]
    found = pair if isinstance(pair, NotComputable) else pair.reading(judged.levels[treatment])
    verdict = decide_margin(
        found if isinstance(found, NotComputable) else found.anytime,
        of.attached.expected_direction,
        trustworthy=trustworthy,
        readable=withheld is None,
    )
    if withheld is not None:
        return withheld, verdict
    if isinstance(found, NotComputable):
        return found, verdict
    return MarginComparison(found.effect, _anytime_reading(found.anytime, treatment, judged)), verdict


def _beside_margin(
    attached: AttachedMetric,
    arms: tuple[Arm, Arm],
    pair: Pair | NotComputable,
    adjusted: Adjusted | NotComputable | None,
) -> BesideMargin | NotComputable:
    if isinstance(pair, NotComputable):
        return pair
    is_adjusted = isinstance(adjusted, Adjusted)
    read = adjusted.pair if isinstance(adjusted, Adjusted) else pair
    clock = clock_of(attached.metric)
    return beside_margin(attached, arms, (read.control, read.treatment), clock, adjusted=is_adjusted)


def _adjusted_reading(found: Adjusted | NotComputable | None, of: Compared) -> AdjustedReading | NotComputable | None:
    if not isinstance(found, Adjusted):
        return found
    reading = _reading(found.pair, of)
    return reading if isinstance(reading, NotComputable) else AdjustedReading(reading, found.variance_reduction)


def _reading(pair: Pair | NotComputable, of: Compared) -> Reading | NotComputable:
    if isinstance(pair, NotComputable):
        return pair
    better = of.attached.better_direction
    return Reading(
        effect=pair.effect,
        lift=lift(pair.control, pair.treatment, alpha=of.design.alpha),
        chance_to_win=chance_to_win(pair.effect, better),
        risk=expected_loss(pair.effect, better),
    )


def _pair(control: Arm, treatment: Arm, metric: Metric, design: Design, floors: Floors) -> Pair | NotComputable:
    for reason in (CAP_IS_ZERO, ONE_VALUE, OUT_OF_RANGE):  # not cured by more data
        if reason in (control.reduced, treatment.reduced):
            return reason
    counted = control.counted, treatment.counted
    too_little = below_floor((control.n, treatment.n), counted, counted_by(metric), floors)
    return too_little or _pair_of(control.reduced, treatment.reduced, metric, _accrued(control, treatment), design)


def _pair_of(
    control: VariantAggregate | NotComputable,
    treatment: VariantAggregate | NotComputable,
    metric: Metric,
    accrued: Accrued,
    design: Design,
) -> Pair | NotComputable:
    if isinstance(control, NotComputable):
        return control
    if isinstance(treatment, NotComputable):
        return treatment
    difference = effect(control, treatment, alpha=design.alpha)
    if isinstance(difference, NotComputable):
        return difference
    evidence = accrued_evidence(clock_of(metric), control, treatment, accrued.events, design)
    if any(measure.counts_missing_as_zero for measure in metric.measures):
        evidence = widened_for_late_values(evidence, control, treatment, accrued.with_value)
    return Pair(control, treatment, difference, evidence)


def _accrued(control: Arm, treatment: Arm) -> Accrued:
    return Accrued((control.events, treatment.events), (control.values.with_value, treatment.values.with_value))


def _adjusted(
    attached: AttachedMetric, arms: Mapping[str, Arm], pairs: Mapping[str, Pair | NotComputable], design: Design
) -> dict[str, Adjusted | NotComputable]:
    """Return every comparison adjusted for the pre-period, or why not; nothing where the metric has none."""
    control = arms[CONTROL]
    if attached.overlaps_earlier_phase:
        return dict.fromkeys(pairs, OVERLAPS_EARLIER_PHASE)
    found: dict[str, Adjusted | NotComputable] = {}
    for key, pair in pairs.items():
        treatment = arms[key]
        if isinstance(pair, NotComputable) and control.pre_period is not None:
            found[key] = pair
        elif control.pre_period is not None and treatment.pre_period is not None:
            arms_adjusted = cuped(control.pre_period, treatment.pre_period)
            found[key] = _adjusted_pair(arms_adjusted, attached.metric, _accrued(control, treatment), design)
    return found


def _adjusted_pair(
    adjustment: CupedAdjustment | NotComputable, metric: Metric, accrued: Accrued, design: Design
) -> Adjusted | NotComputable:
    if isinstance(adjustment, NotComputable):
        return adjustment
    pair = _pair_of(adjustment.control, adjustment.treatment, metric, accrued, design)
    return pair if isinstance(pair, NotComputable) else Adjusted(pair, adjustment.variance_reduction)


def _anytime_effect(pair: Pair | NotComputable, alpha: float) -> AnytimeEffect | NotComputable:
    if isinstance(pair, NotComputable):
        return pair
    return anytime_effect(pair.effect, pair.control, pair.treatment, pair.evidence, alpha=alpha)


def _withheld_for_ties(attached: AttachedMetric, pair: Pair | NotComputable) -> NotComputable | None:
    """Return why two quantiles are not told apart whose intervals have no width (rule C12), or None.

    Their error would be 0 and any difference certain, whereas a look finds it by chance. Harm to a guardrail is said.
    """
    if not isinstance(attached.metric.statistic, Quantile) or attached.expected_direction.is_guardrail:
        return None
    if isinstance(pair, NotComputable) or pair.control.m2 or pair.treatment.m2 or not pair.effect.value:
        return None
    return TIED_VALUES
