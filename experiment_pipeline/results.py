"""Results: aggregates of one experiment become SRM, effects, lifts and verdicts, and the payload that the API serves.

A number that cannot be given is withheld with its reason, never replaced (design: statistics).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiment_pipeline.aggregates import EMPTY, MetricAggregates, VariantAggregate
from experiment_pipeline.experiments import CONTROL, AttachedMetric, Experiment, SharesUnknown, expected_shares
from experiment_pipeline.stats.bayesian import chance_to_win, expected_loss
from experiment_pipeline.stats.effect import Effect, effect
from experiment_pipeline.stats.floors import below_floor
from experiment_pipeline.stats.lift import Lift, lift
from experiment_pipeline.stats.outcomes import NotComputable
from experiment_pipeline.stats.srm import AnytimeSrmTest, SrmTest, anytime_srm_test, srm_test

OUT_OF_RANGE = NotComputable("out_of_range")  # moments too large for a float


@dataclass(frozen=True, slots=True)
class Floors:
    """How much data an arm needs before anything is inferred from it."""

    identities: int = 50
    conversions: int = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Whether traffic split as configured (rules S1-S3).

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
        """Why the split could not be tested."""
        return self.fixed.reason if isinstance(self.fixed, NotComputable) else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One treatment against control on one metric. What is withheld says why."""

    treatment: str
    effect: Effect | NotComputable
    lift: Lift | NotComputable
    chance_to_win: float | None
    expected_loss: float | None
    verdict: Verdict

    @property
    def reason(self) -> str | None:
        """Why there is no effect or, where there is one, no lift."""
        withheld = [part.reason for part in (self.effect, self.lift) if isinstance(part, NotComputable)]
        return withheld[0] if withheld else None
