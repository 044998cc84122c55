"""Both payloads of one experiment, from landing objects: what every engine of ours is held against.

Written from the rules alone, with the standard library alone: small, slow, and right at sight.
"""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from tests.reference.aggregates import aggregate
from tests.reference.events import Event, LandingObject
from tests.reference.exposures import Experiment, FirstExposure, exposures_payload, first_exposures, remaining
from tests.reference.inference import (
    infer,
    is_enough,
    outside_the_split,
    srm_p_value,
    srm_statistic,
    standard_error,
)
from tests.reference.metric_payloads import is_of_events, version_2
from tests.reference.visible import visible_events

Payload = dict[str, Any]


def payloads(objects_by_batch: Sequence[Sequence[LandingObject]], experiment: Experiment) -> tuple[Payload, Payload]:
    """The exposures payload and the results payload.

    `objects_by_batch[n - 1]` are the objects of batch n; batches after the experiment's data version are not seen.
    Left out of the results: `trustworthy`, but where rule S2 denies it, and per treatment the expected loss, what the
    verdict is read from, every verdict but the one that rule E5 withholds, and of version 1 the absolute effect.
    """
    visible = visible_events(objects_by_batch, experiment.data_version)
    firsts = first_exposures(visible, experiment)
    return exposures_payload(firsts, experiment), results_payload(visible, firsts, experiment)


def results_payload(events: set[Event], firsts: dict[str, FirstExposure], experiment: Experiment) -> Payload:
    """Arms without identities are there, with zeros; holdout and unknown variants are not (rule X6)."""
    identities = Counter(first.variant for first in remaining(firsts, experiment).values())
    metrics: list[Payload] = []
    for metric in experiment.metrics:
        aggregated = aggregate(metric, events, firsts, experiment)
        arms = aggregated.by_variant
        (control,) = experiment.keys_of("control")
        enough = {
            key: is_enough(
                arms[control],
                arms[key],
                occurrence=metric.is_occurrence,
                nonzero=(aggregated.nonzero[control], aggregated.nonzero[key]),
            )
            for key in experiment.keys_of("treatment")
        }
        metrics.append(
            {
                "metric_id": metric.id,
                "variants": {
                    key: {
                        "n": arms[key].n,
                        "sum": float(arms[key].total),
                        "sum_squares": float(arms[key].sum_squares),
                    }
                    for key in experiment.compared_keys
                },
                "inference": {
                    key: infer(arms[control], arms[key], lower_is_better=metric.lower_is_better) if is_known else None
                    for key, is_known in enough.items()
                },
                "standard_error": {
                    key: standard_error(arms[control], arms[key]) if is_known else None
                    for key, is_known in enough.items()
                },
                "values": {key: aggregated.values.get(key, 0) for key in experiment.compared_keys},
                "invalid_values": {key: aggregated.invalid_values.get(key, 0) for key in experiment.compared_keys},
                "nonzero": {key: aggregated.nonzero[key] for key in experiment.compared_keys},
                "with_value": {key: aggregated.with_value[key] for key in experiment.compared_keys},
                "largest": {key: _float(aggregated.largest[key]) for key in experiment.compared_keys},
            }
        )
        if metric.version > 1:
            metrics[-1] |= version_2(metric, aggregated, experiment)
        if is_of_events(metric):
            metrics[-1] = {name: each for name, each in metrics[-1].items() if name not in ("nonzero", "largest")}
        if aggregated.unreadable(experiment.compared_keys):
            metrics[-1]["verdict"] = dict.fromkeys(experiment.keys_of("treatment"), "inconclusive")
            metrics[-1]["reason"] = dict.fromkeys(experiment.keys_of("treatment"), "unreadable_values")
    statistic = srm_statistic(dict(identities), experiment)
    chi_square, degrees = (None, None) if statistic is None else (float(statistic[0]), statistic[1])
    payload: Payload = {
        "phase": experiment.phase,
        "earlier_phases": len(experiment.earlier_phases),
        "srm_p_value": srm_p_value(dict(identities), experiment),
        "srm": {"chi_square": chi_square, "degrees_of_freedom": degrees},
        "metrics": metrics,
    }
    if (outside := outside_the_split(dict(identities), experiment)) is not None:
        payload["trustworthy"] = False
        payload["srm"]["reason"] = outside
    return payload


def _float(number: Fraction | None) -> float | None:
    return None if number is None else float(number)
