"""The payload of the sensitivity of the primary metric, JSON-ready."""

from typing_extensions import TypedDict

from experiment_pipeline.results.comparison_payload import (
    AnytimePayload,
    EffectPayload,
    LiftPayload,
    VariantPayload,
    anytime_payload,
    arm_payload,
    effect_payload,
    lift_payload,
)
from experiment_pipeline.results.model import OtherReading, Sensitivity
from experiment_pipeline.stats.verdict import Verdict


class OtherReadingPayload(TypedDict):
    """The primary metric had it been declared in another way: the numbers that its verdict is about, and the verdict.

    Each reading is judged alone. What is withheld is null, and `reason` says why.
    """

    variants: dict[str, VariantPayload]
    effect: dict[str, EffectPayload | None]
    inference: dict[str, LiftPayload | None]
    anytime: dict[str, AnytimePayload | None]
    verdict: dict[str, Verdict]
    reason: dict[str, str | None]


class SensitivityPayload(TypedDict):
    """Other readings of the primary metric, and the treatments on which they and the declared one disagree.

    The readings are `first` or `exclude`, whichever policy for identities that saw several variants the experiment does
    not have, `uncapped`, where the metric has a cap or a floor, and `unadjusted`, where it has a pre-period. Two
    disagree on a treatment where their verdicts are opposite, or their effects have different signs. Such a treatment
    is not shipped.
    """

    metric_id: int
    readings: dict[str, OtherReadingPayload]
    contradicted: list[str]


def sensitivity_payload(metric_id: int, found: Sensitivity) -> SensitivityPayload:
    """Return the readings of the primary metric, by name."""
    return {
        "metric_id": metric_id,
        "readings": {name: _reading(reading) for name, reading in found.readings.items()},
        "contradicted": list(found.contradicted),
    }


def _reading(of: OtherReading) -> OtherReadingPayload:
    deciding = {each.treatment: each.deciding for each in of.comparisons}
    return {
        "variants": {key: arm_payload(arm) for key, arm in of.arms.items()},
        "effect": {key: effect_payload(reading) for key, reading in deciding.items()},
        "inference": {key: lift_payload(reading) for key, reading in deciding.items()},
        "anytime": {each.treatment: anytime_payload(each) for each in of.comparisons},
        "verdict": {each.treatment: each.verdict for each in of.comparisons},
        "reason": {each.treatment: each.reason for each in of.comparisons},
    }
