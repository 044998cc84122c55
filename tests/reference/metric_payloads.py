"""The payload of a metric of version 2, whole and by its parts: rules M6-M15, M18 and M20, from exact moments.

Members that are left out, such as verdicts and what they are read from, are not compared.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from tests.reference.aggregates import Aggregates, Bounds, Group, JointMoments, Moments
from tests.reference.estimates import Estimate, of_quantile
from tests.reference.exposures import Experiment
from tests.reference.inference import (
    MINIMUM_CONVERSIONS,
    MINIMUM_IDENTITIES,
    MINIMUM_NONZERO,
    Sample,
    infer,
    standard_error,
)
from tests.reference.metrics import Events, Mean, Metric, Quantile, Ratio
from tests.reference.quantiles import QuantileEstimate, share

Payload = dict[str, Any]

MINIMUM_BEYOND_QUANTILE = 10  # n q (1 - q)


def version_2(metric: Metric, found: Aggregates, experiment: Experiment) -> Payload:
    """The members that a metric of version 2 has beside those of version 1, or in their place."""
    keys = experiment.compared_keys
    payload: Payload = {
        "type": type(metric.statistic).__name__.lower(),
        "identities": {key: found.identities.get(key, 0) for key in keys},
        **_of_arms(metric, found, experiment),
    }
    if metric.complete:
        payload["identities_not_mature"] = {key: found.not_mature.get(key, 0) for key in keys}
    x_bounds = "capped_denominator" if isinstance(metric.statistic, Ratio) else "capped_pre_period"
    for name, bounds in (("capped", found.bounds), (x_bounds, found.joint_bounds)):
        if bounds is not None and (bounds.cap, bounds.floor) != (None, None):
            payload[name] = _capped(bounds, keys)
    if isinstance(metric.statistic, Ratio):
        payload["nonzero_denominator"] = {key: found.nonzero_x.get(key, 0) for key in keys}
    if isinstance(metric.statistic, Quantile):
        payload["quantile"] = {key: _ends(found.quantiles[key]) for key in keys}
    return payload | _parts(metric, found, experiment)


def _ends(found: QuantileEstimate | None) -> Payload:
    low, high = (None, None) if found is None else (found.low, found.high)
    return {"low": _float(low), "high": _float(high)}


def _parts(metric: Metric, found: Aggregates, experiment: Experiment) -> Payload:
    """Steps in order; slices and values of dimensions the largest first, ties by text, and the rest last."""

    def place(item: tuple[Group, Aggregates]) -> tuple[bool, int, bool, str]:
        group, part = item
        size = sum(part.identities.get(key, 0) for key in experiment.compared_keys)
        return group.is_other, -size, group.value is not None, group.value or ""

    payload: Payload = {}
    for group, part in sorted(found.groups.items(), key=place):
        of_arms = _of_arms(metric, part, experiment)
        if group.part == "step":
            of_arms = {name: of_arms[name] for name in ("variants", "effect", "inference")}
            payload.setdefault("steps", []).append({"step": int(group.name), **of_arms})
            continue
        of_part = {"value": group.value, "other": group.is_other, **of_arms}
        for left_out in ("standard_error", "decided_by"):
            of_part.pop(left_out, None)
        if group.part == "slice":
            payload.setdefault("slices", []).append(of_part)
        else:
            payload.setdefault("breakdown", {}).setdefault(group.name, []).append(of_part)
    payload.get("steps", []).sort(key=lambda step: step["step"])
    return payload


def _of_arms(metric: Metric, found: Aggregates, experiment: Experiment) -> Payload:
    """The variants, and every treatment beside control."""
    arms = {key: _estimate(metric, found, key) for key in experiment.compared_keys}
    (control,) = experiment.keys_of("control")
    known = {
        key: _known(arms[control], arms[key])
        if _is_enough(metric, found, control) and _is_enough(metric, found, key)
        else None
        for key in experiment.keys_of("treatment")
    }
    payload: Payload = {
        "variants": {key: _variant(metric, found, key, arms[key]) for key in experiment.compared_keys},
        **{
            name: {key: None if pair is None else _reading(metric, *pair)[name] for key, pair in known.items()}
            for name in ("effect", "inference", "standard_error")
        },
    }
    if isinstance(metric.statistic, Mean) and metric.statistic.before is not None:
        is_of_earlier_phase = any(
            experiment.started_at - metric.statistic.before < end for _, end in experiment.earlier_phases
        )  # rule X11
        adjusted = {
            key: None
            if pair is None or is_of_earlier_phase
            else _adjusted(metric, found.joint[control], found.joint[key])
            for key, pair in known.items()
        }
        nothing = dict.fromkeys(("effect", "inference", "standard_error", "variance_reduction"))
        payload["adjusted"] = {key: each or nothing for key, each in adjusted.items()}
        payload["decided_by"] = {key: "plain" if each is None else "adjusted" for key, each in adjusted.items()}
    return payload


def _estimate(metric: Metric, found: Aggregates, key: str) -> Sample | None:
    """The outcome of the statistic in a variant; None where there is none."""
    if _cap_is_zero(metric, found) or _leaves_one_value(metric, found):
        return None
    match metric.statistic:
        case Quantile():
            return of_quantile(found.quantiles[key])
        case Ratio():
            return _ratio(found.joint[key])
        case _:
            return found.by_variant[key]


def _ratio(joint: JointMoments) -> Estimate | None:
    """Rule M9, by the squared deviations of `y - R x` over identities."""
    n, x, y = joint.x.n, joint.x, joint.y
    if not n or x.mean <= 0:
        return None
    ratio = y.mean / x.mean
    squares = _residual(joint, ratio) / x.mean**2
    return Estimate(n, ratio, squares / (n - 1) / n if n > 1 else Fraction(0))


def _adjusted(metric: Metric, control: JointMoments, treatment: JointMoments) -> Payload | None:
    """Rule M11: one slope within both variants; the pre-period counts from control's mean."""
    squares = control.x.m2 + treatment.x.m2
    if not squares:
        return None
    slope = (control.c_xy + treatment.c_xy) / squares
    shift = slope * (treatment.x.mean - control.x.mean)
    arms = [
        Estimate(arm.y.n, mean, _residual(arm, slope) / (arm.y.n - 1) / arm.y.n)
        for arm, mean in ((control, control.y.mean), (treatment, treatment.y.mean - shift))
    ]
    before, after = control.y.m2 + treatment.y.m2, sum(arm.m2 for arm in arms)
    reduction = float(1 - after / before) if before else 0.0
    return {**_reading(metric, arms[0], arms[1]), "variance_reduction": reduction}


def _residual(joint: JointMoments, slope: Fraction) -> Fraction:
    return joint.y.m2 - 2 * slope * joint.c_xy + slope**2 * joint.x.m2


def _reading(metric: Metric, control: Sample, treatment: Sample) -> Payload:
    return {
        "effect": {"value": float(treatment.mean - control.mean)},
        "inference": infer(control, treatment, lower_is_better=metric.lower_is_better),
        "standard_error": standard_error(control, treatment),
    }


def _known(control: Sample | None, treatment: Sample | None) -> tuple[Sample, Sample] | None:
    return None if control is None or treatment is None else (control, treatment)


def _is_enough(metric: Metric, found: Aggregates, key: str) -> bool:
    """Rule C4: identities in the metric, and those that its normal approximation rests on."""
    if _identities(metric, found, key) < MINIMUM_IDENTITIES:
        return False
    match metric.statistic:
        case Quantile(q):
            return _identities(metric, found, key) * share(q) * (1 - share(q)) >= MINIMUM_BEYOND_QUANTILE
        case Ratio():
            return min(found.nonzero[key], found.nonzero_x[key]) >= MINIMUM_NONZERO
        case _ if metric.is_occurrence:
            return found.by_variant[key].total >= MINIMUM_CONVERSIONS
        case _:
            return found.nonzero[key] >= MINIMUM_NONZERO


def _identities(metric: Metric, found: Aggregates, key: str) -> int:
    if not isinstance(metric.statistic, Quantile):
        return found.by_variant[key].n
    estimate = found.quantiles[key]
    return 0 if estimate is None else estimate.n


def _variant(metric: Metric, found: Aggregates, key: str, estimate: Sample | None) -> Payload:
    n = _identities(metric, found, key)
    payload: Payload = {"n": n, "value": _float(estimate.mean) if estimate is not None and n else None}
    if not is_of_events(metric):
        moments: Moments = found.by_variant[key]
        payload |= {"sum": float(moments.total), "sum_squares": float(moments.sum_squares)}
    return payload


def is_of_events(metric: Metric) -> bool:
    """Whether it is about the values of single events, so that identities have none."""
    return isinstance(metric.statistic, Quantile) and isinstance(metric.statistic.of, Events)


def _cap_is_zero(metric: Metric, found: Aggregates) -> bool:
    """Rule M10; that of a pre-period withholds nothing."""
    bounds = [found.bounds, found.joint_bounds if isinstance(metric.statistic, Ratio) else None]
    return any(each is not None and each.cap == 0 for each in bounds)


def _leaves_one_value(metric: Metric, found: Aggregates) -> bool:
    """Rule M10: a floor that is not below the cap, or bounds that were touched and after which all are the same."""
    bounds = [found.bounds, found.joint_bounds if isinstance(metric.statistic, Ratio) else None]
    if any(each and each.cap is not None and each.floor is not None and each.floor >= each.cap for each in bounds):
        return True
    if found.bounds is None or not any([*found.bounds.capped.values(), *found.bounds.floored.values()]):
        return False
    if isinstance(metric.statistic, Ratio):
        return False
    if isinstance(metric.statistic, Quantile):
        values = {each.value for each in found.quantiles.values() if each is not None}
        return len(values) == 1 and bool(values & {found.bounds.cap, found.bounds.floor})
    arms = [each for each in found.by_variant.values() if each.n]
    return bool(arms) and all(each.n > 1 and not each.m2 for each in arms) and len({each.mean for each in arms}) == 1


def _capped(bounds: Bounds, keys: list[str]) -> Payload:
    def counts(of: Mapping[str, int]) -> dict[str, int]:
        return {key: of.get(key, 0) for key in keys}

    return {
        "cap": _float(bounds.cap),
        "floor": _float(bounds.floor),
        "capped": counts(bounds.capped),
        "floored": counts(bounds.floored),
    }


def _float(number: Fraction | None) -> float | None:
    return None if number is None else float(number)
