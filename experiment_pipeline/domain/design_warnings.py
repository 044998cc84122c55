"""Design warnings: what is allowed in an experiment's design, and probably not meant."""

from collections.abc import Iterator

from experiment_pipeline.domain.experiments import Design, Experiment, ExperimentStatus, Variant, VariantRole
from experiment_pipeline.domain.floors import SHIPPED_FLOORS, Floors
from experiment_pipeline.domain.metrics import AttachedMetric, Direction, ExpectedDirection
from experiment_pipeline.domain.planned_sample import floor_warnings
from experiment_pipeline.domain.several_treatments import several_treatments_warnings

LARGEST_USUAL_MDE = 1.0  # a lift of 100 %; a share that was written as per cent is larger
AGAINST = {
    Direction.UP: {ExpectedDirection.DECREASE, ExpectedDirection.NOT_INCREASE},
    Direction.DOWN: {ExpectedDirection.INCREASE, ExpectedDirection.NOT_DECREASE},
    Direction.INFORMATIONAL: set[ExpectedDirection](),
}
LARGEST_SHARE = 1.0  # an allocation below 1 % is rather a share that was taken for one
BETTER = {Direction.UP: "higher", Direction.DOWN: "lower"}


def design_warnings(experiment: Experiment, floors: Floors = SHIPPED_FLOORS) -> list[str]:
    """Return a sentence or two for each thing in the design that is allowed and probably not meant, its field first.

    Args:
        experiment: as it is declared.
        floors: how much data an arm needs before anything is inferred from it.
    """
    return [
        *_of_variants(experiment.variants),
        *_of_primary(experiment),
        *(warning for position, each in enumerate(experiment.metrics) for warning in _of_metric(position, each)),
        *_of_design(experiment),
        *_of_looks(experiment),
        *floor_warnings(experiment, floors),
        *several_treatments_warnings(experiment),
    ]


def _of_variants(variants: tuple[Variant, ...]) -> Iterator[str]:
    if any(variant.role is VariantRole.CONTROL and variant.percentage_allocation == 0 for variant in variants):
        yield (
            "variants: the other variants take 100 % of the traffic and leave none for control: there is nothing to "
            "compare with. Lower an allocation, or call the variant that is in use today control."
        )
    others = [each.percentage_allocation or 0 for each in variants if each.role is not VariantRole.CONTROL]
    largest = max(others, default=0)
    if 0 < largest < LARGEST_SHARE:
        yield (
            f"variants: no variant but control gets more than {largest:g} % of the traffic. Allocations are per cent: "
            "50 is a half."
        )


def _of_primary(experiment: Experiment) -> Iterator[str]:
    if not experiment.metrics:
        if experiment.status is ExperimentStatus.RUNNING:
            yield (
                "metrics: it runs without any, so that only its split is tested, and nothing is decided. A metric that "
                "is attached after the start is a secondary one."
            )
        return
    primary = experiment.metrics[0]
    if primary.expected_direction.is_guardrail and primary.margin is None:
        yield (
            "metrics.0.margin: the primary metric is a guardrail, which never wins: without a margin nothing is ever "
            "shipped. Put the metric that is to improve first, or state a margin such as margin: 0.02."
        )


def _of_metric(position: int, attached: AttachedMetric) -> Iterator[str]:
    metric, expected = attached.metric, attached.expected_direction
    if expected not in AGAINST[metric.direction]:
        return
    better = f"whose direction is {metric.direction.value}: {BETTER[metric.direction]} is better"
    field = f"metrics.{position}.expected_direction"
    if expected.is_guardrail:
        yield f"{field}: {expected.value} guards against the better side of the metric '{metric.name}', {better}."
    else:
        yield (
            f"{field}: {expected.value} is against the metric '{metric.name}', {better}. "
            "The verdict follows the metric's direction."
        )


def _of_design(experiment: Experiment) -> Iterator[str]:
    design, usual = experiment.design, Design()
    primary = experiment.metrics[0].metric if experiment.metrics else None
    plans_nothing = experiment.plan.mde is None
    if design.power != usual.power and plans_nothing:
        yield "design.power: changes nothing without mde."
    if design.standard_deviation is not None and plans_nothing:
        yield "design.standard_deviation: changes nothing without mde."
    elif design.standard_deviation is not None and primary is not None and primary.is_proportion:
        yield (
            f"design.standard_deviation: changes nothing for '{primary.name}', a share of identities: its own follows "
            "from the baseline."
        )
    if design.baseline is not None and plans_nothing:
        yield "design.baseline: changes nothing without mde."
    if design.mde is not None and design.mde >= LARGEST_USUAL_MDE:
        yield f"design.mde: {design.mde:g} is a lift of {100 * design.mde:g} %. It is a share: 0.2 is 20 %."


def _of_looks(experiment: Experiment) -> Iterator[str]:
    if experiment.design.n_looks > 1 and (lack := experiment.looks_lack):
        yield f"design.n_looks: changes nothing {lack}. Verdicts hold at every refresh, and no look is planned."
