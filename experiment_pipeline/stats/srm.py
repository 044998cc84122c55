"""Sample ratio mismatch: whether the arms received the shares of identities that the experiment was set to give."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from experiment_pipeline.domain.aggregates import LARGEST_COUNT
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.not_computable import NotComputable

SRM_ALPHA = 0.001  # one sound experiment in a thousand; rule S3
MINIMUM_IDENTITIES = 100  # rule S2
LARGEST_SHARE = 1e300  # that shares may be added up
NEGLIGIBLE_SHARE = 1e-9  # less than this of the whole is what rounding left of 100 %, and counts as 0
SMALLEST_EXACT_P = 1e-290  # below it the tail is taken in logarithms

# Dirichlet concentrations of the anytime-valid test, in identities. A concentration A expects shares that are off by
# about sqrt((1 - share) / (share A)) in relative terms: these five cover a gross mismatch within the first hundred
# identities as well as a shift of 1 % that takes a hundred thousand to show.
CONCENTRATIONS = (1e1, 1e2, 1e3, 1e4, 1e5)


@dataclass(frozen=True, slots=True)
class SrmTest:
    """The fixed-sample test.

    log10_p:  stands where p_value underflows to 0
    expected: identities that each tested arm should have
    """

    chi2: float
    dof: int
    p_value: float
    log10_p: float
    expected: dict[str, float]
    mismatch: bool


@dataclass(frozen=True, slots=True)
class AnytimeSrmTest:
    """The sequential test, valid at every refresh: of all its looks together at most SRM_ALPHA alarm by chance.

    log10_e_value: evidence against the configured shares; a mismatch is 3 or more
    p_value:       `min(1, 1 / e_value)`
    """

    log10_e_value: float
    p_value: float
    mismatch: bool


def srm_test(counts: Mapping[str, int], shares: Mapping[str, float]) -> SrmTest | NotComputable:
    """Return Pearson's chi-square goodness of fit of identities per arm against normalised shares (rules S1-S3).

    `chi2 = sum((observed - expected)^2 / expected)`, p from the survival function. Arms with share 0 leave the test
    and its degrees of freedom; identities of arms without a share are not looked at (rule X6).
    Withheld: `fewer_than_two_arms`, `fewer_than_100_identities`.

    Args:
        counts: identities by variant key.
        shares: the share that each tested arm should have, by key; they need not add up to 1.

    Returns:
        The test, or why there is none.

    Raises:
        ValueError: a count or a share is out of range; names the argument and the key.

    Example:
        >>> test = srm_test({"control": 5_000, "b": 5_300}, {"control": 0.5, "b": 0.5})
        >>> round(test.chi2, 2), round(test.p_value, 4), test.mismatch
        (8.74, 0.0031, False)
    """
    arms = _tested_arms(counts, shares)
    if isinstance(arms, NotComputable):
        return arms
    total = sum(observed for observed, _ in arms.values())
    expected = {key: total * share for key, (_, share) in arms.items()}
    chi2 = math.fsum((observed - expected[key]) ** 2 / expected[key] for key, (observed, _) in arms.items())
    dof = len(arms) - 1
    p_value = float(special.chdtrc(dof, chi2))
    return SrmTest(
        chi2=chi2,
        dof=dof,
        p_value=p_value,
        log10_p=math.log10(p_value) if p_value > SMALLEST_EXACT_P else _log10_chi2_tail(dof, chi2),
        expected=expected,
        mismatch=p_value < SRM_ALPHA,
    )


def anytime_srm_test(counts: Mapping[str, int], shares: Mapping[str, float]) -> AnytimeSrmTest | NotComputable:
    """Return the sequential multinomial test of the shares.

    Lindon and Malek 2022, "Anytime-valid inference for multinomial count data": the Bayes factor of
    Dirichlet-distributed shares, centred at the configured ones, against these.

    Under sound assignment the factor is a non-negative martingale that starts at 1, so by Ville's inequality it ever
    reaches 1 / SRM_ALPHA in at most SRM_ALPHA of experiments, however often it is looked at. The average over
    CONCENTRATIONS is such a martingale too. Arms and withheld results are those of `srm_test`.

    Args:
        counts: identities by variant key.
        shares: the share that each tested arm should have, by key; they need not add up to 1.

    Returns:
        The test, or why there is none.

    Raises:
        ValueError: a count or a share is out of range; names the argument and the key.
    """
    arms = _tested_arms(counts, shares)
    if isinstance(arms, NotComputable):
        return arms
    log_e = float(log_e_value(np.array([float(n) for n, _ in arms.values()]), np.array([p for _, p in arms.values()])))
    return AnytimeSrmTest(
        log10_e_value=log_e / math.log(10),
        p_value=math.exp(-max(0.0, log_e)),
        mismatch=log_e >= -math.log(SRM_ALPHA),
    )


def log_e_value(counts: Floats, shares: Floats) -> Floats:
    """Return the logarithm of the averaged Bayes factor; the last axis of `counts` holds the arms."""
    factors = np.stack([_log_bayes_factor(counts, shares, concentration) for concentration in CONCENTRATIONS])
    largest = factors.max(axis=0)
    average: Floats = largest + np.log(np.exp(factors - largest).mean(axis=0))
    return average


def _tested_arms(
    counts: Mapping[str, int], shares: Mapping[str, float]
) -> dict[str, tuple[int, float]] | NotComputable:
    """Return observed count and normalised share of every arm with a positive share."""
    for key, count in counts.items():
        if count < 0:
            raise ValueError(f"counts: must not be negative, got {count} for {key!r}")
    if sum(counts.values()) > LARGEST_COUNT:
        raise ValueError(f"counts: must not exceed 2**53 in all, got {sum(counts.values())}")
    for key, share in shares.items():
        if not 0 <= share <= LARGEST_SHARE:
            raise ValueError(f"shares: must lie between 0 and {LARGEST_SHARE:g}, got {share} for {key!r}")
    negligible = NEGLIGIBLE_SHARE * math.fsum(shares.values())
    positive = {key: share for key, share in shares.items() if share > negligible}
    if len(positive) < 2:
        return NotComputable("fewer_than_two_arms")
    if sum(counts.get(key, 0) for key in positive) < MINIMUM_IDENTITIES:
        return NotComputable("fewer_than_100_identities")
    whole = math.fsum(positive.values())
    return {key: (counts.get(key, 0), share / whole) for key, share in positive.items()}


def _log10_chi2_tail(dof: int, chi2: float) -> float:
    """Return log10 of the survival function where it underflows, from Legendre's continued fraction (DLMF 8.9.2).

    `Q(a, x) = e^-x x^a / Gamma(a) * 1/(x+1-a - 1(1-a)/(x+3-a - 2(2-a)/(x+5-a - ...)))`, evaluated from the inside;
    out here x exceeds a by far and sixty-four terms are more than a float can tell.
    """
    a, x = dof / 2, chi2 / 2
    fraction = 0.0
    for k in range(64, 0, -1):
        fraction = k * (k - a) / (x + 2 * k + 1 - a - fraction)
    log_tail = a * math.log(x) - x - math.lgamma(a) - math.log(x + 1 - a - fraction)
    return log_tail / math.log(10)


def _log_bayes_factor(counts: Floats, shares: Floats, concentration: float) -> Floats:
    """Return `log[Gamma(A) / Gamma(A + n) * prod Gamma(A p + x) / Gamma(A p) / p^x]` for Dirichlet concentration A.

    Written with Stirling's formula and its remainder, so that terms of size n log n cancel on paper and not in floats:
    with `z = A p + x` and `Z = A + n` it is
    `Z KL(z/Z || p) - sum log(z / (A p)) / 2 + log(Z / A) / 2 + remainders`.
    """
    total = counts.sum(axis=-1, keepdims=True)
    prior, posterior = concentration * shares, concentration + total
    weight, surplus = prior + counts, counts - total * shares
    by_arm = weight * np.log1p(surplus / (posterior * shares)) - surplus - np.log(weight / prior) / 2
    by_arm += _stirling_remainder(weight) - _stirling_remainder(prior)
    of_all = np.log(posterior / concentration) / 2 - _stirling_remainder(posterior)
    log_factor: Floats = by_arm.sum(axis=-1) + of_all[..., 0] + _stirling_remainder(np.array(concentration))
    return log_factor


def _stirling_remainder(x: Floats) -> Floats:
    """Return `log Gamma(x)` less Stirling's `(x - 1/2) log x - x + log(2 pi) / 2` (DLMF 5.11.1)."""
    near, far = np.minimum(x, 100), np.maximum(x, 100)
    difference = special.gammaln(near) - (near - 0.5) * np.log(near) + near - math.log(2 * math.pi) / 2
    series = (1 / 12 - (1 / 360 - 1 / (1260 * far * far)) / (far * far)) / far
    remainder: Floats = np.where(x < 100, difference, series)
    return remainder
