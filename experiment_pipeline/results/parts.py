"""Parts of a metric: steps of a funnel, slices of its events, values of dimensions (rules M14, M15, M18).

Their verdicts are a family of their own for each metric and kind of part, and never part of the decision.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from experiment_pipeline.domain.aggregates import Group, MetricAggregates, Part, VariantAggregate
from experiment_pipeline.domain.experiments import CONTROL, Design
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.metrics import Quantile, Ratio
from experiment_pipeline.results.arms import Arm
from experiment_pipeline.results.comparisons import Compared, Judged, compared, comparisons
from experiment_pipeline.results.model import PartResults
from experiment_pipeline.stats.multiplicity import benjamini_hochberg, benjamini_hochberg_levels
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.post_stratification import PostStratified, post_stratified


def parts_of(
    metric: Compared, found: MetricAggregates, floors: Floors, *, trustworthy: bool
) -> tuple[PartResults, ...]:
    """Return the parts of a metric, judged by Benjamini and Hochberg's procedure over all parts of one kind.

    Args:
        metric: the whole metric, compared.
        found: its aggregates, with those of its parts.
        floors: how much data an arm of a part needs; the same as of the whole.
        trustworthy: whether the split is.

    Returns:
        Steps in their order; then slices, then dimensions by name: the values with the most identities first, of
        equal ones by text, no value before any, and the rest last.
    """
    design = Design(alpha=metric.design.alpha)  # no part is what the sample was planned for
    parts = {
        group: compared(metric.attached, found.groups[group], metric.arms, design, floors, withheld=metric.withheld)
        for group in sorted(found.groups, key=lambda group: _place(group, found.groups[group]))
    }
    judged = {kind: _judged({g: each for g, each in parts.items() if g.part is kind}, design.alpha) for kind in Part}
    return tuple(
        PartResults(group, each.arms, comparisons(each, judged[group.part][group], trustworthy=trustworthy))
        for group, each in parts.items()
    )


def post_stratified_effects(
    metric: Compared, parts: Collection[PartResults], dimension: str | None, floors: Floors
) -> dict[str, PostStratified | NotComputable]:
    """Return the effect of each treatment from those within the values of a dimension (rule C11).

    Of ratios and quantiles there is none: they are not means of those of the values.
    """
    if dimension is None or isinstance(metric.attached.metric.statistic, Ratio | Quantile):
        return {}
    cells = [each.arms for each in parts if each.group.part is Part.DIMENSION and each.group.name == dimension]
    return {
        treatment: _post_stratified([(arms[CONTROL], arms[treatment]) for arms in cells], metric.design, floors)
        for treatment in metric.pairs
    }


def _post_stratified(
    cells: Iterable[tuple[Arm, Arm]], design: Design, floors: Floors
) -> PostStratified | NotComputable:
    reduced = []
    for control, treatment in cells:
        for arm in (control.reduced, treatment.reduced):
            if isinstance(arm, NotComputable):
                return arm
        assert isinstance(control.reduced, VariantAggregate)  # noqa: S101 - just seen
        assert isinstance(treatment.reduced, VariantAggregate)  # noqa: S101 - likewise
        reduced.append((control.reduced, treatment.reduced))
    return post_stratified(reduced, minimum_identities=floors.identities, alpha=design.alpha)


def _place(group: Group, found: MetricAggregates) -> tuple[int, int, str, bool, int, bool, str]:
    step = int(group.name) if group.part is Part.STEP else 0
    size = sum(found.identities.values()) or sum(each.n for each in found.by_variant.values() if each is not None)
    value = group.value
    return list(Part).index(group.part), step, group.name, group.is_other, -size, value is not None, value or ""


def _judged(parts: dict[Group, Compared], alpha: float) -> dict[Group, Judged]:
    """Return the outcome of one family, all treatments in all these parts; and of another, beside the margin."""
    plain = _of_family({group: each.p_values() for group, each in parts.items()}, alpha)
    if all(each.attached.margin is None for each in parts.values()):
        return plain
    at_margin = _of_family({group: each.margin_p_values() for group, each in parts.items()}, alpha)
    return {group: replace(each, at_margin=at_margin[group]) for group, each in plain.items()}


def _of_family(p_values: dict[Group, dict[str, float]], alpha: float) -> dict[Group, Judged]:
    keys = [(group, treatment) for group, of_group in p_values.items() for treatment in of_group]
    of_all = [p_values[group][treatment] for group, treatment in keys]
    levels = dict(zip(keys, benjamini_hochberg_levels(of_all, alpha), strict=True))
    adjusted = dict(zip(keys, benjamini_hochberg(of_all), strict=True))
    return {
        group: Judged(
            {treatment: levels[group, treatment] for treatment in of_group},
            {treatment: adjusted[group, treatment] for treatment in of_group},
        )
        for group, of_group in p_values.items()
    }
