"""Reasons for which a number is withheld, in words; docs/statistics.md has each with what to do about it."""

REASONS = {
    "below_minimum_identities": "too few identities",
    "below_minimum_conversions": "too few conversions",
    "below_minimum_nonzero": "too few identities that are not 0",
    "fewer_than_two_identities": "fewer than two identities in an arm",
    "control_mean_not_positive": "control is not above 0, so that nothing is relative to it",
    "control_mean_not_distinguishable_from_zero": "control cannot be told from 0, so that nothing is relative to it",
    "before_first_planned_look": "the first planned look is not due yet",
    "unreadable_values": "more than 1 % of the values in an arm are not numbers",
    "missing_values_differ": "identities with a value are more frequent in one arm, so that the arms hold other people",
    "too_few_values": "too few values beyond the quantile",
    "tied_values": (
        "the quantile lies on a value that many share, so that its error is not known: compare the share of values "
        "beyond it"
    ),
    "denominator_not_positive": "the denominator is not above 0 in an arm",
    "cap_is_zero": (
        "the cap is 0, so that every value would count as 0: take the percentile of the values that are not 0, with "
        "of_nonzero: true"
    ),
    "bounds_leave_one_value": "cap and floor leave one value: everybody counts as the same",
    "covariate_overlaps_earlier_phase": "the time before the exposure reaches into an earlier phase",
    "pre_period_without_variance": "all identities were the same before their exposure",
    "out_of_range": "values are too large for a float",
    "fewer_than_100_identities": "fewer than 100 identities",
    "fewer_than_two_arms": "fewer than two variants have a share of the traffic",
    "variant_without_key": "a variant has no key",
    "allocations_over_100": "the shares of the variants exceed 100 %",
    "traffic_in_arm_without_share": "identities came to a variant whose share is 0",
    "unknown_variants": "identities came to variants that the experiment does not configure",
    "design_incomplete": "the design lacks an mde, a baseline or a standard deviation",
    "no_planned_looks": "the design cannot plan looks for this metric, so that verdicts hold at every refresh",
    "evidence_not_planned": "the evidence of such a metric cannot be planned",
    "no_metric": "the experiment has no metric",
    "no_pre_period": "the primary metric has no pre-period",
    "shares_unknown": "the shares of the variants are unknown",
    "no_evidence_yet": "both means are 0",
    "no_event_counted": "no event counted",
    "no_traffic_yet": "no time has passed",
    "level_is_zero": "the metric is 0, and no lift is relative to 0",
    "effect_too_small": "no number of identities is enough for that lift",
    "no_self_check_of_quantiles": "the test of a quantile does not use moments",
    "not_published": "no results are published yet",
    "experiment_ended": "the experiment has ended",
    "no_factor_for_planned_looks": "the verdict is read at planned looks, and how much more they take is not computed",
    "no_factor_for_this_design": "how much more it takes is known at an alpha of 0.05 and a power of 0.8 alone",
}


def in_words(reason: str) -> str:
    """Return a reason as a phrase; one that a newer version has made, as its name.

    Example:
        >>> in_words("too_few_values")
        'too few values beyond the quantile'
    """
    return REASONS.get(reason, reason.replace("_", " "))


def briefly(reason: str) -> str:
    """Return the same without what to do about it, for places that repeat it.

    Example:
        >>> briefly("cap_is_zero")
        'the cap is 0, so that every value would count as 0'
    """
    return in_words(reason).partition(":")[0]
