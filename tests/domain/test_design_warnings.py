"""Design warnings name what is allowed and probably not meant, and nothing else."""

import dataclasses

import pytest

from experiment_pipeline.domain.design_warnings import design_warnings
from experiment_pipeline.domain.experiments import Design, Experiment, ExperimentStatus, Variant, VariantRole
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import AttachedMetric, Direction, ExpectedDirection
from tests.metrics import version_1

EXPERIMENT = Experiment(
    id=1,
    environment_key="production",
    key="checkout",
    partition_key="checkout-1",
    name="Checkout",
    feature="checkout_button",
    status=ExperimentStatus.CREATED,
    variants=(Variant("control", VariantRole.CONTROL, 50.0), Variant("larger", VariantRole.TREATMENT, 50.0)),
)
AS_WANTED = {
    (Direction.UP, ExpectedDirection.INCREASE),
    (Direction.UP, ExpectedDirection.NOT_DECREASE),
    (Direction.DOWN, ExpectedDirection.DECREASE),
    (Direction.DOWN, ExpectedDirection.NOT_INCREASE),
    *((Direction.INFORMATIONAL, expected) for expected in ExpectedDirection),
}


def attached(direction: Direction, expected: ExpectedDirection) -> AttachedMetric:
    return AttachedMetric(version_1(1, "production", "load_time", "load", Aggregation.MEAN, direction), expected)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("expected", ExpectedDirection)
def test_design_warnings__expected_direction__only_against_the_metrics_own(
    direction: Direction, expected: ExpectedDirection
) -> None:
    warnings = design_warnings(dataclasses.replace(EXPERIMENT, metrics=(attached(direction, expected),)))
    fields = [warning.partition(":")[0] for warning in warnings]
    assert [field for field in fields if field != "metrics.0.margin"] == (
        [] if (direction, expected) in AS_WANTED else ["metrics.0.expected_direction"]
    )


def test_design_warnings__expected_direction__name_metric_and_better_side() -> None:
    metrics = (
        attached(Direction.UP, ExpectedDirection.INCREASE),
        attached(Direction.DOWN, ExpectedDirection.INCREASE),
        attached(Direction.DOWN, ExpectedDirection.NOT_DECREASE),
    )
    assert design_warnings(dataclasses.replace(EXPERIMENT, metrics=metrics)) == [
        "metrics.1.expected_direction: increase is against the metric 'load_time', whose direction is down: lower is "
        "better. The verdict follows the metric's direction.",
        "metrics.2.expected_direction: not_decrease guards against the better side of the metric 'load_time', whose "
        "direction is down: lower is better.",
    ]


@pytest.mark.parametrize(
    ("allocations", "warned"), [((0.5,), True), ((0.5, 0.5), True), ((1.0,), False), ((0.5, 20), False)]
)
def test_design_warnings__allocations_that_are_shares__say_that_they_are_per_cent(
    allocations: tuple[float, ...], warned: bool
) -> None:
    treatments = [Variant(f"t{number}", VariantRole.TREATMENT, each) for number, each in enumerate(allocations)]
    control = Variant("control", VariantRole.CONTROL, 100 - sum(allocations))
    found = design_warnings(dataclasses.replace(EXPERIMENT, variants=(control, *treatments)))
    told = (
        "variants: no variant but control gets more than 0.5 % of the traffic. Allocations are per cent: 50 is a half."
    )
    assert (told in found) is warned


def test_design_warnings__control_without_traffic__says_what_to_do() -> None:
    variants = (Variant("control", VariantRole.CONTROL, 0.0), Variant("larger", VariantRole.TREATMENT, 100.0))
    (warning,) = design_warnings(dataclasses.replace(EXPERIMENT, variants=variants))
    assert warning.startswith("variants: the other variants take 100 % of the traffic and leave none for control")


@pytest.mark.parametrize(("mde", "warned"), [(None, False), (0.2, False), (0.99, False), (1.0, True), (4.9, True)])
def test_design_warnings__mde__from_1_on(mde: float | None, warned: bool) -> None:
    design = Design(mde=mde, baseline=None if mde is None else 0.1)
    assert bool(design_warnings(dataclasses.replace(EXPERIMENT, design=design))) is warned


def test_design_warnings__mde__says_how_much_it_is() -> None:
    (warning,) = design_warnings(dataclasses.replace(EXPERIMENT, design=Design(mde=1.5, baseline=0.1)))
    assert warning == "design.mde: 1.5 is a lift of 150 %. It is a share: 0.2 is 20 %."


def test_design_warnings__running_without_metrics__says_that_nothing_is_measured() -> None:
    running = dataclasses.replace(EXPERIMENT, metrics=(), status=ExperimentStatus.RUNNING)
    (warning,) = design_warnings(running)
    assert warning.startswith("metrics: it runs without any")
    assert design_warnings(dataclasses.replace(running, status=ExperimentStatus.CREATED)) == []


@pytest.mark.parametrize(("margin", "warned"), [(None, True), (0.02, False)])
def test_design_warnings__guardrail_as_primary_metric__never_ships_without_a_margin(
    margin: float | None, warned: bool
) -> None:
    guardrail = dataclasses.replace(attached(Direction.DOWN, ExpectedDirection.NOT_INCREASE), margin=margin)
    found = design_warnings(dataclasses.replace(EXPERIMENT, metrics=(guardrail,)))
    assert any(each.startswith("metrics.0.margin: the primary metric is a guardrail") for each in found) is warned
