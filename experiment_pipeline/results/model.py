"""Results of one experiment: its split, and every treatment against control on every metric.

A number that cannot be given is withheld with its reason, never replaced (docs/statistics.md).
"""

from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import VariantAggregate, are_unreadable
from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.stats.effect import Effect
from experiment_pipeline.stats.lift import Lift
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.srm import AnytimeSrmTest, SrmTest
from experiment_pipeline.stats.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Floors:
    """Minimum of data that an arm needs before anything is inferred from it."""

    identities: int = 50
    conversions: int = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Analysed identities by variant, and whether traffic split as configured (rules S1-S3).

    identities:  analysed identities of control and every treatment
    shares:      what each should have got; empty where the configuration does not say
    fixed:       the fixed-sample test, for those who look once
    anytime:     the test that holds at every refresh; `trustworthy` is driven by it
    """

    identities: dict[str, int]
    shares: dict[str, float]
    fixed: SrmTest | NotComputable
    anytime: AnytimeSrmTest | NotComputable

    @property
    def trustworthy(self) -> bool | None:
        """False on a mismatch, None where the split could not be tested."""
        return None if isinstance(self.anytime, NotComputable) else not self.anytime.mismatch

    @property
    def reason(self) -> str | None:
        """The reason why the split could not be tested; None where it was."""
        return self.fixed.reason if isinstance(self.fixed, NotComputable) else None

    @property
    def p_value(self) -> float | None:
        """The p-value of the fixed-sample test; None where it could not be made."""
        return None if isinstance(self.fixed, NotComputable) else self.fixed.p_value

    @property
    def anytime_p_value(self) -> float | None:
        """The p-value of the test that holds at every refresh; None where it could not be made."""
        return None if isinstance(self.anytime, NotComputable) else self.anytime.p_value


@dataclass(frozen=True, slots=True)
class Comparison:
    """One treatment against control on one metric; what is withheld says why.

    chance_to_win: that the treatment is the better one; flipped where lower is better (rule M1)
    expected_loss: per identity, of shipping the treatment, in the metric's unit
    withheld: why there is no verdict, whatever the numbers are; None where a verdict may be given
    """

    treatment: str
    effect: Effect | NotComputable
    lift: Lift | NotComputable
    chance_to_win: float | None
    expected_loss: float | None
    verdict: Verdict
    withheld: NotComputable | None = None

    @property
    def reason(self) -> str | None:
        """The reason why there is no verdict, no effect or, where there are both, no lift; None where all are given."""
        for part in (self.withheld, self.effect, self.lift):
            if isinstance(part, NotComputable):
                return part.reason
        return None


@dataclass(frozen=True, slots=True)
class MetricResults:
    """One attached metric: its aggregates by analysed variant, and every treatment against control.

    aggregates:     None where the moments are too large for a float
    values:         events whose value the metric reads as a number, by analysed variant
    invalid_values: those of them whose value is not a number (rule E5)
    """

    attached: AttachedMetric
    aggregates: dict[str, VariantAggregate | None]
    comparisons: tuple[Comparison, ...]
    values: dict[str, int]
    invalid_values: dict[str, int]

    @property
    def has_unreadable_values(self) -> bool:
        """Whether too many values of any variant are not numbers, so that the metric has no verdict (rule E5)."""
        return any(are_unreadable(values, self.invalid_values[key]) for key, values in self.values.items())


@dataclass(frozen=True, slots=True)
class ExperimentResults:
    """Results of one experiment at one refresh."""

    split: Split
    metrics: tuple[MetricResults, ...]

    def verdicts(self) -> dict[str, dict[str, str]]:
        """Return every verdict, by metric name and treatment."""
        return {
            metric.attached.metric.name: {each.treatment: each.verdict.value for each in metric.comparisons}
            for metric in self.metrics
        }
