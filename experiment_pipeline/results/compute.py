"""Computation of an experiment's results from its aggregates: the split, effects, lifts and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import nsmallest

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.experiments import Design, Experiment, SharesUnknown, expected_shares
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.domain.planned_looks import PlannedLookOf
from experiment_pipeline.results.comparisons import Judged, best_of, compared, comparisons, judged_at_margin
from experiment_pipeline.results.families import adjusted_p_values, comparison_levels, family_of
from experiment_pipeline.results.frequentist import frequentist_readings
from experiment_pipeline.results.model import ExperimentResults, MetricResults, Split, TrafficOutsideSplit
from experiment_pipeline.results.parts import parts_of, post_stratified_effects
from experiment_pipeline.results.planned_looks import planned_looks_of
from experiment_pipeline.results.posterior import posterior_lifts
from experiment_pipeline.results.progress import progress_of
from experiment_pipeline.results.sensitivity import sensitivity_of
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.srm import NEGLIGIBLE_SHARE, anytime_srm_test, srm_test

LISTED_UNKNOWN = 5  # of the variants that an experiment does not configure, those that a finding names


def compute_results(
    experiment: Experiment,
    identities: Mapping[str, int],
    aggregates: Sequence[MetricAggregates],
    floors: Floors,
    before_entry: Mapping[str, int] | None = None,
    *,
    as_of: datetime | None = None,
    planned_looks: Sequence[PlannedLookOf] = (),
) -> ExperimentResults:
    """Return the results of an experiment at one refresh.

    Args:
        experiment: its variants, attached metrics and design.
        identities: analysed identities per variant seen, holdout and unknown ones included (rule X6).
        aggregates: one per attached metric, in any order; a metric without one has no events and no identities.
        floors: how much data an arm needs before anything is inferred from it.
        before_entry: identities per variant, those that never had the event where analysis starts among them; None
            where it starts with the exposure (rule M19).
        as_of: the end of the window; None where nothing is to be said of the time that is left, and no look is taken.
        planned_looks: those that were stored; they stay as they are, and this payload may be the next one (rule C7).

    Returns:
        The split and one `MetricResults` per attached metric, in the experiment's order.
    """
    flagged = (
        replace(each, overlaps_earlier_phase=experiment.overlaps_earlier_phase(each)) for each in experiment.metrics
    )
    experiment = replace(experiment, metrics=tuple(flagged))
    split = _split(experiment, identities)
    if before_entry is not None:
        split = replace(split, before_entry=_split(experiment, before_entry))
    by_metric = {metric.metric_id: metric for metric in aggregates}
    every = [
        (compared(attached, found, split.identities, _design_of(attached, experiment), floors), found)
        for attached in experiment.metrics
        for found in [by_metric.get(attached.metric.id) or MetricAggregates(attached.metric.id, {})]
    ]
    p_values = {each.attached.metric.id: each.p_values() for each, _ in every}
    levels = comparison_levels(experiment.metrics, p_values, experiment.design.alpha)
    adjusted = adjusted_p_values(experiment.metrics, p_values)
    tests = frequentist_readings([each for each, _ in every])
    trustworthy = split.trustworthy is True
    metrics = [
        MetricResults(
            attached=each.attached,
            family=family_of(each.attached, experiment.metrics),
            arms=each.arms,
            comparisons=comparisons(
                each,
                Judged(levels[found.metric_id], adjusted[found.metric_id], judged_at_margin(each)),
                trustworthy=trustworthy,
                planned=planned_looks_of(each, experiment, planned_looks, as_of, trustworthy=trustworthy),
            ),
            values=each.values,
            invalid_values=each.invalid_values,
            found=found,
            frequentist=tests[found.metric_id],
            chance_to_be_best=best_of(each),
            progress=progress_of(each, experiment, as_of) if each.attached == experiment.metrics[0] else {},
            posterior=posterior_lifts(each, experiment.prior) if each.attached == experiment.metrics[0] else {},
            parts=(parts := parts_of(each, found, floors, trustworthy=trustworthy)),
            post_stratified=post_stratified_effects(each, parts, experiment.post_stratify, floors),
        )
        for each, found in every
    ]
    sensitivity = None
    if metrics:
        primary, found = every[0]
        sensitivity = sensitivity_of(primary, found, metrics[0].comparisons, floors, trustworthy=trustworthy)
    return ExperimentResults(split=split, metrics=tuple(metrics), sensitivity=sensitivity, phase=experiment.phase)


def _design_of(attached: AttachedMetric, experiment: Experiment) -> Design:
    """Return the design for one metric: the effect to detect is the primary metric's alone, for it is in its unit."""
    design = experiment.design
    return design if attached == experiment.metrics[0] else replace(design, mde=None, baseline=None)


def _split(experiment: Experiment, identities: Mapping[str, int]) -> Split:
    counts = {key: identities.get(key, 0) for key in experiment.compared_keys}
    shares = expected_shares(experiment.variants)
    if isinstance(shares, SharesUnknown):
        unknown = NotComputable(shares.reason)
        return Split(identities=counts, shares={}, fixed=unknown, anytime=unknown)
    return Split(
        identities=counts,
        shares=shares,
        fixed=srm_test(counts, shares),
        anytime=anytime_srm_test(counts, shares),
        outside=_traffic_outside(experiment, counts, shares, identities),
    )


def _traffic_outside(
    experiment: Experiment, counts: Mapping[str, int], shares: Mapping[str, float], identities: Mapping[str, int]
) -> TrafficOutsideSplit:
    """Return the identities that the split does not provide for (rule S2)."""
    ignored, configured = set(experiment.ignored_variants), set(experiment.variant_keys)
    unknown = {key: n for key, n in identities.items() if key not in configured and key not in ignored}
    return TrafficOutsideSplit(
        without_share={
            key: n for key, n in counts.items() if n and shares[key] <= NEGLIGIBLE_SHARE and key not in ignored
        },
        unknown=sum(unknown.values()),
        largest=dict(nsmallest(LISTED_UNKNOWN, unknown.items(), key=lambda item: (-item[1], item[0]))),
        counted=sum(counts.values()) + sum(unknown.values()),
    )
