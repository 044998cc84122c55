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
    """One treatment against control on one metric. What is withheld says why.

    chance_to_win: that the treatment is the better one; flipped where lower is better (rule M1)
    expected_loss: per identity, of shipping the treatment, in the metric's unit
    """

    treatment: str
    effect: Effect | NotComputable
    lift: Lift | NotComputable
    chance_to_win: float | None
    expected_loss: float | None
    verdict: Verdict

    @property
    def reason(self) -> str | None:
        """Why there is no effect or, where there is one, no lift."""
        for part in (self.effect, self.lift):
            if isinstance(part, NotComputable):
                return part.reason
        return None


@dataclass(frozen=True, slots=True)
class MetricResults:
    """One attached metric: its aggregates by analysed variant, and every treatment against control."""

    attached: AttachedMetric
    aggregates: dict[str, VariantAggregate | OutOfRange]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class ExperimentResults:
    """Everything that one refresh says of an experiment."""

    split: Split
    metrics: tuple[MetricResults, ...]

    def payload(self) -> dict[str, Any]:
        """As the API serves it: JSON-ready, nothing missing, null where something is withheld."""
        anytime = self.split.anytime
        return {
            "srm_p_value": None if isinstance(self.split.fixed, NotComputable) else self.split.fixed.p_value,
            "trustworthy": self.split.trustworthy,
            "srm": {
                "anytime_p_value": None if isinstance(anytime, NotComputable) else anytime.p_value,
                "identities": self.split.identities,
                "expected_shares": self.split.shares,
                "reason": self.split.reason,
            },
            "metrics": [_metric_payload(metric) for metric in self.metrics],
        }


def compute_results(
    experiment: Experiment,
    identities: Mapping[str, int],
    aggregates: Sequence[MetricAggregates],
    floors: Floors,
) -> ExperimentResults:
    """The results of an experiment.

    identities: analysed identities per variant seen, holdout and unknown ones included (rule X6)
    aggregates: one per attached metric, in any order; a metric without one has no events and no identities
    """
    split = _split(experiment, identities)
    by_metric = {metric.metric_id: metric.by_variant for metric in aggregates}
    metrics = tuple(
        _metric_results(experiment, attached, by_metric.get(attached.metric.id, {}), split, floors)
        for attached in experiment.metrics
    )
    return ExperimentResults(split=split, metrics=metrics)


def _split(experiment: Experiment, identities: Mapping[str, int]) -> Split:
    counts = {key: identities.get(key, 0) for key in experiment.compared_keys}
    shares = expected_shares(experiment.variants)
    if isinstance(shares, SharesUnknown):
        unknown = NotComputable(shares.reason)
        return Split(identities=counts, shares={}, fixed=unknown, anytime=unknown)
    return Split(
        identities=counts, shares=shares, fixed=srm_test(counts, shares), anytime=anytime_srm_test(counts, shares)
    )
