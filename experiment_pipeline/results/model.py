"""Results of one experiment: its split, and every treatment against control on every metric.

A number that cannot be given is withheld with its reason, never replaced (docs/statistics.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from experiment_pipeline.domain.aggregates import (
    Group,
    MetricAggregates,
    ValueSummary,
    VariantAggregate,
    are_unreadable,
)
from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.domain.planned_looks import PlannedLookOf
from experiment_pipeline.results.arms import Arm
from experiment_pipeline.results.families import Family
from experiment_pipeline.stats.bayesian import ExpectedLoss, InformedLift
from experiment_pipeline.stats.effect import Effect
from experiment_pipeline.stats.lift import Lift
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.planned_looks import PlannedLooks
from experiment_pipeline.stats.post_stratification import PostStratified
from experiment_pipeline.stats.srm import MINIMUM_IDENTITIES, AnytimeSrmTest, SrmTest
from experiment_pipeline.stats.verdict import Verdict

TOLERATED_OUTSIDE = 100  # one identity in a hundred; rule S2


@dataclass(frozen=True, slots=True)
class TrafficOutsideSplit:
    """Identities that the split does not provide for (rule S2); those of ignored variants are not among them.

    without_share: identities in arms whose share is 0, by arm that has any
    unknown:       identities of variants that the experiment does not configure
    largest:       the largest of these variants, with their identities
    counted:       all analysed identities and those of unknown variants, which these are a part of
    """

    without_share: dict[str, int]
    unknown: int
    largest: dict[str, int]
    counted: int

    @property
    def identities(self) -> int:
        """All of them."""
        return sum(self.without_share.values()) + self.unknown

    @property
    def mismatch(self) -> bool:
        """True where they are more than 1 % of all that were counted, from 100 on."""
        return self.counted >= MINIMUM_IDENTITIES and self.identities * TOLERATED_OUTSIDE > self.counted

    @property
    def reason(self) -> str | None:
        """The kind that most of them are of, where they are a mismatch; None where they are not."""
        if not self.mismatch:
            return None
        return "unknown_variants" if 2 * self.unknown > self.identities else "traffic_in_arm_without_share"


NO_TRAFFIC_OUTSIDE = TrafficOutsideSplit(without_share={}, unknown=0, largest={}, counted=0)


@dataclass(frozen=True, slots=True)
class Split:
    """Analysed identities by variant, and whether traffic split as configured (rules S1-S3).

    identities:  analysed identities of control and every treatment
    shares:      what each should have got; empty where the configuration does not say
    fixed:       the fixed-sample test, for those who look once
    anytime:     the test that holds at every refresh
    outside:     traffic that the split does not provide for
    before_entry: the split of all who were exposed, where only those who entered are analysed (rule M19)
    """

    identities: dict[str, int]
    shares: dict[str, float]
    fixed: SrmTest | NotComputable
    anytime: AnytimeSrmTest | NotComputable
    outside: TrafficOutsideSplit = NO_TRAFFIC_OUTSIDE
    before_entry: "Split | None" = None

    @property
    def trustworthy(self) -> bool | None:
        """False on a mismatch of any kind, None where there is none and the shares could not be tested."""
        if self.outside.mismatch or (self.before_entry is not None and self.before_entry.trustworthy is False):
            return False
        return None if isinstance(self.anytime, NotComputable) else not self.anytime.mismatch

    @property
    def untested(self) -> str | None:
        """The reason why the shares could not be tested; None where they were."""
        return self.fixed.reason if isinstance(self.fixed, NotComputable) else None

    @property
    def reason(self) -> str | None:
        """The traffic that is outside the split, or why the shares are untested; None where neither is so."""
        return self.outside.reason or self.untested

    @property
    def p_value(self) -> float | None:
        """The p-value of the fixed-sample test; None where it could not be made."""
        return None if isinstance(self.fixed, NotComputable) else self.fixed.p_value

    @property
    def chi_square(self) -> float | None:
        """The statistic of the fixed-sample test; None where it could not be made."""
        return None if isinstance(self.fixed, NotComputable) else self.fixed.chi2

    @property
    def degrees_of_freedom(self) -> int | None:
        """Its degrees of freedom; None where it could not be made."""
        return None if isinstance(self.fixed, NotComputable) else self.fixed.dof

    @property
    def anytime_p_value(self) -> float | None:
        """The p-value of the test that holds at every refresh; None where it could not be made."""
        return None if isinstance(self.anytime, NotComputable) else self.anytime.p_value


@dataclass(frozen=True, slots=True)
class AnytimeReading:
    """The basis of the verdict of one comparison: its interval at the level that its family gives it.

    p_value:          of the comparison alone
    adjusted_p_value: as the family adjusts it: at most the design's alpha where the interval excludes zero
    level:            the interval misses the true effect, at any refresh, with at most this probability
    """

    p_value: float
    adjusted_p_value: float
    ci_low: float
    ci_high: float
    level: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The numbers of one treatment against control.

    Attributes:
        effect: absolute.
        lift: relative to control, or why there is none.
        chance_to_win: that the treatment is the better one, on the better side that the verdict has, too (rule M1).
        risk: per identity, of each decision if it is the wrong one, in the metric's unit.
    """

    effect: Effect
    lift: Lift | NotComputable
    chance_to_win: float
    risk: ExpectedLoss


@dataclass(frozen=True, slots=True)
class AdjustedReading:
    """The same after adjustment for the pre-period (rule M11).

    Attributes:
        reading: its lift is relative to control's mean as it was measured.
        variance_reduction: the share of the variance that the pre-period explains.
    """

    reading: Reading
    variance_reduction: float


@dataclass(frozen=True, slots=True)
class MarginComparison:
    """A treatment beside control as it would be at the margin of a guardrail (rule C9).

    Attributes:
        effect: `mean_t - (1 -+ margin) mean_c` in the metric's unit: 0 is exactly at the margin.
        anytime: what the verdict is read from.
    """

    effect: Effect
    anytime: AnytimeReading


class FixedSampleTest(StrEnum):
    """The tests for those who look exactly once: Welch's t of means, the z of two proportions, Wald's z of others."""

    WELCH = "welch_t"
    TWO_PROPORTIONS = "two_proportion_z"
    WALD = "wald_z"


@dataclass(frozen=True, slots=True)
class FrequentistReading:
    """The fixed-sample test of one comparison, as the metric is measured.

    degrees_of_freedom: of Welch's t; None of the others
    p_value:            of the comparison alone
    adjusted_p_value:   as the family adjusts it
    ci_low, ci_high:    the interval of the effect at the design's alpha, of this comparison alone
    """

    test: FixedSampleTest
    statistic: float
    degrees_of_freedom: float | None
    p_value: float
    adjusted_p_value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Distance of a comparison from its planned end.

    Attributes:
        information_fraction: accrued evidence over what the design plans; 1 at the planned end.
        identities_needed: of control and the treatment together at the planned end, if each brings as much evidence as
            each has so far; or why that cannot be known.
        left: until then, at the traffic since the start; or why that cannot be known.
    """

    information_fraction: float
    identities_needed: int | NotComputable
    left: timedelta | NotComputable


class DecidedBy(StrEnum):
    """The reading that the verdict is about: the adjusted one wherever a metric has a pre-period that varies (C8)."""

    PLAIN = "plain"
    ADJUSTED = "adjusted"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One treatment against control on one metric; what is withheld says why.

    Attributes:
        reading: as the metric is measured.
        anytime: what the verdict is read from, but with a margin; None where it is read from nothing.
        withheld: why there is no verdict, whatever the numbers are; None where a verdict may be given.
        adjusted: for the pre-period, or why not; None where the metric has none.
        margin: what the verdict of a guardrail with a margin is read from, or why it is not; None without a margin.
        planned: of the primary metric, where the design plans looks; None otherwise.
    """

    treatment: str
    reading: Reading | NotComputable
    verdict: Verdict
    anytime: AnytimeReading | None = None
    withheld: NotComputable | None = None
    adjusted: AdjustedReading | NotComputable | None = None
    margin: MarginComparison | NotComputable | None = None
    planned: PlannedLooks | None = None

    @property
    def expected_loss(self) -> float | None:
        """The expected loss of shipping the treatment."""
        return None if isinstance(self.reading, NotComputable) else self.reading.risk.if_ship

    @property
    def deciding(self) -> Reading | NotComputable:
        """The numbers that the verdict is about."""
        return self.adjusted.reading if isinstance(self.adjusted, AdjustedReading) else self.reading

    @property
    def decided_by(self) -> DecidedBy:
        """The reading that the verdict is about."""
        return DecidedBy.ADJUSTED if isinstance(self.adjusted, AdjustedReading) else DecidedBy.PLAIN

    @property
    def reason(self) -> str | None:
        """The reason why there is no verdict, no effect or, where there are both, no lift; None where all are given."""
        lift = None if isinstance(self.reading, NotComputable) else self.reading.lift
        return self.unread or (lift.reason if isinstance(lift, NotComputable) else None)

    @property
    def unread(self) -> str | None:
        """The reason why there is nothing that a verdict is read from; None where there is."""
        looks = self.planned.withheld if self.planned is not None and self.planned.decide else None
        parts = (self.withheld, self.margin, self.reading, looks)
        return next((part.reason for part in parts if isinstance(part, NotComputable)), None)


@dataclass(frozen=True, slots=True)
class PartResults:
    """One part of a metric: a step of a funnel, a slice of its events, or a value of a dimension.

    Attributes:
        group: which part.
        arms: by analysed variant.
        comparisons: judged in a family of the metric's parts of this kind, never in the decision (rule M15).
    """

    group: Group
    arms: dict[str, Arm]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class MetricResults:
    """One attached metric: its aggregates by analysed variant, and every treatment against control.

    Attributes:
        family: that its comparisons are judged in.
        arms: by analysed variant.
        values: events whose value the metric reads as a number, by analysed variant.
        invalid_values: those of them whose value is not a number (rule E5).
        parts: steps, slices, and values of dimensions, in the order in which they are shown.
        post_stratified: the effect of each treatment from those within the values of a dimension (rule C11); empty
            where none is asked for.
        frequentist: the fixed-sample test of each treatment; None where there is none.
        chance_to_be_best: of each analysed variant, control included, or why it is unknown.
        progress: of each treatment against the design; empty for all metrics but the primary one.
        posterior: the lift of each treatment under the prior; empty without one, and for all but the primary metric.
        found: what the engine counted.
    """

    attached: AttachedMetric
    family: Family
    arms: dict[str, Arm]
    comparisons: tuple[Comparison, ...]
    values: dict[str, int]
    invalid_values: dict[str, int]
    found: MetricAggregates
    frequentist: Mapping[str, FrequentistReading | None]
    chance_to_be_best: dict[str, float] | NotComputable
    progress: dict[str, Progress | NotComputable]
    posterior: dict[str, InformedLift | NotComputable]
    parts: tuple[PartResults, ...] = ()
    post_stratified: dict[str, PostStratified | NotComputable] = field(default_factory=dict)

    @property
    def aggregates(self) -> dict[str, VariantAggregate | None]:
        """The moments of its values, by analysed variant; None where they are too large for a float."""
        return {key: arm.aggregate for key, arm in self.arms.items()}

    @property
    def of_identities(self) -> dict[str, ValueSummary]:
        """The other numbers of the identities' values, by analysed variant."""
        return {key: arm.values for key, arm in self.arms.items()}

    @property
    def has_unreadable_values(self) -> bool:
        """Whether too many values of any variant are not numbers, so that the metric has no verdict (rule E5)."""
        return any(are_unreadable(values, self.invalid_values[key]) for key, values in self.values.items())


@dataclass(frozen=True, slots=True)
class OtherReading:
    """The primary metric as it would be, had it been declared in another way; judged alone."""

    arms: dict[str, Arm]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The primary metric under other declarations, by name, and the treatments on which these disagree."""

    readings: dict[str, OtherReading]
    contradicted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExperimentResults:
    """Results of one experiment at one refresh.

    sensitivity: of the primary metric; None where there is nothing to hold beside it
    phase:       of the experiment (rule X10)
    """

    split: Split
    metrics: tuple[MetricResults, ...]
    sensitivity: Sensitivity | None = None
    phase: int = 1

    @property
    def new_planned_looks(self) -> tuple[PlannedLookOf, ...]:
        """The planned looks that this payload is, to be stored with it (rule C7)."""
        return tuple(
            PlannedLookOf(metric.attached.metric.id, comparison.treatment, comparison.planned.new)
            for metric in self.metrics
            for comparison in metric.comparisons
            if comparison.planned is not None and comparison.planned.new is not None
        )

    @property
    def contradicted(self) -> tuple[str, ...]:
        """The treatments on which readings of the primary metric disagree."""
        return () if self.sensitivity is None else self.sensitivity.contradicted

    def verdicts(self) -> dict[str, dict[str, str]]:
        """Return every verdict, by metric name and treatment."""
        return {
            metric.attached.metric.name: {each.treatment: each.verdict.value for each in metric.comparisons}
            for metric in self.metrics
        }
