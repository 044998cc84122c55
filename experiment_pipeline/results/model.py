"""Results of one experiment: its split, and every treatment against control on every metric.

A number that cannot be given is withheld with its reason, never replaced (design: statistics).
"""

import math
from dataclasses import dataclass
from typing import Any

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.stats.effect import Effect
from experiment_pipeline.stats.lift import Lift
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.srm import AnytimeSrmTest, SrmTest
from experiment_pipeline.stats.verdict import Verdict


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

    @property
    def p_value(self) -> float | None:
        """Of the fixed-sample test; None where it could not be made."""
        return None if isinstance(self.fixed, NotComputable) else self.fixed.p_value

    @property
    def anytime_p_value(self) -> float | None:
        """Of the test that holds at every refresh; None where it could not be made."""
        return None if isinstance(self.anytime, NotComputable) else self.anytime.p_value

    def rows(self) -> list[dict[str, object]]:
        """One row per compared variant, for the `srm` frame."""
        return [
            {
                "variant": key,
                "identities": n,
                "expected_share": self.shares.get(key),
                "p_value": self.p_value,
                "anytime_p_value": self.anytime_p_value,
                "reason": self.reason,
            }
            for key, n in self.identities.items()
        ]


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

    def row(self) -> dict[str, object]:
        """For the `bayesian_results` frame."""
        known = None if isinstance(self.effect, NotComputable) else self.effect
        relative = None if isinstance(self.lift, NotComputable) else self.lift
        return {
            "treatment": self.treatment,
            "effect": known and known.value,
            "effect_low": known and known.ci_low,
            "effect_high": known and known.ci_high,
            "lift": relative and relative.value,
            "lift_low": relative and relative.ci_low,
            "lift_high": relative and relative.ci_high,
            "chance_to_win": self.chance_to_win,
            "expected_loss": self.expected_loss,
            "reason": self.reason,
        }

    @property
    def absolute(self) -> dict[str, float | None] | None:
        """The effect as the payload has it, in the metric's unit."""
        if isinstance(self.effect, NotComputable):
            return None
        return {
            "value": self.effect.value,
            "ci_low": self.effect.ci_low,
            "ci_high": self.effect.ci_high,
            "chance_to_win": self.chance_to_win,
        }

    @property
    def inference(self) -> dict[str, float | None] | None:
        """The lift as the payload has it; 0.1 is ten percent more than control."""
        if isinstance(self.lift, NotComputable):
            return None
        return {
            "lift": self.lift.value,
            "ci_low": self.lift.ci_low,
            "ci_high": self.lift.ci_high,
            "chance_to_win": self.chance_to_win,
        }


@dataclass(frozen=True, slots=True)
class MetricResults:
    """One attached metric: its aggregates by analysed variant, and every treatment against control.

    aggregates: None where the moments are too large for a float
    """

    attached: AttachedMetric
    aggregates: dict[str, VariantAggregate | None]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class ExperimentResults:
    """Everything that one refresh says of an experiment."""

    split: Split
    metrics: tuple[MetricResults, ...]

    def payload(self) -> dict[str, Any]:
        """As the API serves it: JSON-ready, nothing missing, null where something is withheld."""
        return {
            "srm_p_value": self.split.p_value,
            "trustworthy": self.split.trustworthy,
            "srm": {
                "anytime_p_value": self.split.anytime_p_value,
                "identities": self.split.identities,
                "expected_shares": self.split.shares,
                "reason": self.split.reason,
            },
            "metrics": [self._metric_payload(metric) for metric in self.metrics],
        }

    def rows(self) -> list[dict[str, object]]:
        """One row per metric and treatment, for the `bayesian_results` frame."""
        return [
            {"metric_id": metric.attached.metric.id, **comparison.row()}
            for metric in self.metrics
            for comparison in metric.comparisons
        ]

    def verdicts(self) -> dict[str, dict[str, str]]:
        """By metric name and treatment."""
        return {
            metric.attached.metric.name: {each.treatment: each.verdict.value for each in metric.comparisons}
            for metric in self.metrics
        }

    def _metric_payload(self, metric: MetricResults) -> dict[str, Any]:
        compared = {comparison.treatment: comparison for comparison in metric.comparisons}
        return {
            "metric_id": metric.attached.metric.id,
            "variants": {
                key: {
                    "n": self.split.identities[key],
                    "sum": _finite(aggregate.sum) if aggregate else None,
                    "sum_squares": _finite(aggregate.sum_squares) if aggregate else None,
                }
                for key, aggregate in metric.aggregates.items()
            },
            "inference": {key: comparison.inference for key, comparison in compared.items()},
            "effect": {key: comparison.absolute for key, comparison in compared.items()},
            "expected_loss": {key: comparison.expected_loss for key, comparison in compared.items()},
            "verdict": {key: comparison.verdict.value for key, comparison in compared.items()},
            "reason": {key: comparison.reason for key, comparison in compared.items()},
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
