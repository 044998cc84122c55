"""SRM, chance to win and lift, from exact moments: rules S1-S2 and the methods of the statistics page."""

import math
from fractions import Fraction
from statistics import NormalDist

from tests.reference.aggregates import Moments
from tests.reference.estimates import Estimate
from tests.reference.exposures import Experiment

MINIMUM_FOR_SRM = 100  # identities in all, rule S2
MINIMUM_IDENTITIES = 50  # per arm
MINIMUM_CONVERSIONS = 5  # per arm, occurrence metrics
MINIMUM_NONZERO = 20  # per arm, all other metrics: lower than what ships, for small samples
Z = NormalDist().inv_cdf(0.975)

Sample = Moments | Estimate


def known_shares(experiment: Experiment) -> dict[str, Fraction] | None:
    """Rule S1: percentages of control and treatments, 0 included; None where they cannot be known (rule S2)."""
    if any(variant.key is None for variant in experiment.variants):
        return None
    percent: dict[str, Fraction] = {}
    for variant in experiment.variants:
        if variant.key is not None and variant.role != "control":
            percent[variant.key] = Fraction(str(variant.percentage_allocation or 0))
    remainder = 100 - sum(percent.values(), Fraction(0))
    if remainder < 0:
        return None
    for key in experiment.keys_of("control"):
        percent[key] = remainder
    return {key: percent[key] for key in experiment.compared_keys}


def expected_shares(experiment: Experiment) -> dict[str, Fraction] | None:
    """Rule S1: shares of control and treatments that add up to one; None where they cannot be tested (rule S2)."""
    percent = known_shares(experiment)
    if percent is None:
        return None
    arms = {key: share for key, share in percent.items() if share > 0}
    if len(arms) < 2:
        return None
    total = sum(arms.values())
    return {key: share / total for key, share in arms.items()}


def srm_statistic(identities: dict[str, int], experiment: Experiment) -> tuple[Fraction, int] | None:
    """Chi-square of analysed identities against the expected shares, and its degrees of freedom; None where skipped."""
    shares = expected_shares(experiment)
    if shares is None:
        return None
    observed = {key: identities.get(key, 0) for key in shares}
    total = sum(observed.values())
    if total < MINIMUM_FOR_SRM:
        return None
    statistic = sum((observed[key] - share * total) ** 2 / (share * total) for key, share in shares.items())
    return Fraction(statistic), len(shares) - 1


def srm_p_value(identities: dict[str, int], experiment: Experiment) -> float | None:
    """The p-value of the chi-square goodness of fit; None where it is skipped."""
    found = srm_statistic(identities, experiment)
    return None if found is None else chi_square_tail(float(found[0]), found[1])


def outside_the_split(identities: dict[str, int], experiment: Experiment) -> str | None:
    """Rule S2: which traffic the split does not provide for, where over 1 %; None where it is less, or unknown."""
    shares = known_shares(experiment)
    if shares is None:
        return None
    known = {variant.key for variant in experiment.variants}
    ignored = experiment.ignored_variants
    unknown = sum(n for key, n in identities.items() if key not in known and key not in ignored)
    without_share = sum(identities.get(key, 0) for key, share in shares.items() if share == 0 and key not in ignored)
    everybody = unknown + sum(identities.get(key, 0) for key in experiment.compared_keys)
    if everybody < MINIMUM_FOR_SRM or unknown + without_share <= Fraction(everybody, 100):
        return None
    return "unknown_variants" if unknown > without_share else "traffic_in_arm_without_share"


def chi_square_tail(x: float, degrees: int) -> float:
    """P(chi-square > x): Q(degrees / 2, x / 2) by Q(a + 1, y) = Q(a, y) + y^a e^-y / Gamma(a + 1)."""
    y = x / 2
    a, tail = (0.5, math.erfc(math.sqrt(y))) if degrees % 2 else (1.0, math.exp(-y))
    while a < degrees / 2:
        tail += y**a * math.exp(-y) / math.gamma(a + 1)
        a += 1
    return tail


def is_enough(control: Moments, treatment: Moments, *, occurrence: bool, nonzero: tuple[int, int]) -> bool:
    """The floors of inference, which both arms must reach."""
    arms = (control, treatment)
    if any(arm.n < MINIMUM_IDENTITIES for arm in arms):
        return False
    if occurrence:
        return all(arm.total >= MINIMUM_CONVERSIONS for arm in arms)
    return min(nonzero) >= MINIMUM_NONZERO


def infer(control: Sample, treatment: Sample, *, lower_is_better: bool) -> dict[str, float] | None:
    """Lift with its Fieller interval, and chance to win; None where there is no lift."""
    interval = lift_interval(control, treatment)
    if interval is None:
        return None
    low, high = interval
    return {
        "lift": float(treatment.mean / control.mean - 1),
        "ci_low": low,
        "ci_high": high,
        "chance_to_win": chance_to_win(control, treatment, lower_is_better=lower_is_better),
    }


def standard_error(control: Sample, treatment: Sample) -> float:
    """The standard error of the difference of the means."""
    return math.sqrt(squared_error(control) + squared_error(treatment))


def squared_error(arm: Sample) -> Fraction:
    """The squared standard error of the mean."""
    return arm.m2 / (arm.n - 1) / arm.n


def chance_to_win(control: Sample, treatment: Sample, *, lower_is_better: bool) -> float:
    """Phi(D / SE(D)) on the absolute scale, flipped when lower is better; exact without variance."""
    effect = treatment.mean - control.mean
    if lower_is_better:
        effect = -effect
    variance = squared_error(control) + squared_error(treatment)
    if variance == 0:
        return 0.5 if effect == 0 else float(effect > 0)
    return 0.5 * math.erfc(-float(effect) / math.sqrt(2 * variance))


def lift_interval(control: Sample, treatment: Sample) -> tuple[float, float] | None:
    """Fieller: every ratio r with (t - r c)^2 <= z^2 (v_t + r^2 v_c), minus one.

    None where the control mean is not positive or not distinguishable from 0: no bounded interval is left then.
    """
    z2 = Fraction(Z) ** 2
    c, t = control.mean, treatment.mean
    v_c, v_t = squared_error(control), squared_error(treatment)
    quadratic = c * c - z2 * v_c  # at most 0 when g = z^2 v_c / c^2 >= 1
    if c <= 0 or quadratic <= 0:
        return None
    root = Fraction(math.sqrt((t * c) ** 2 - quadratic * (t * t - z2 * v_t)))
    return float((t * c - root) / quadratic - 1), float((t * c + root) / quadratic - 1)
