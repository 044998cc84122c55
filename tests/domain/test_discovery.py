"""Which flags and variants no experiment covers, and which variant is probably control."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.discovery import (
    ControlSign,
    ExposedVariant,
    ProbableControl,
    UncoveredFlag,
    probable_control,
    uncovered_flags,
)
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus, Variant, VariantRole

FIRST, DAY = datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=1)
BUTTON = Experiment(
    id=1,
    environment_key="prod",
    key="button",
    partition_key="button-1",
    name="Button",
    feature="button",
    status=ExperimentStatus.RUNNING,
    variants=(
        Variant("control", VariantRole.CONTROL),
        Variant("larger", VariantRole.TREATMENT, 40),
        Variant("never", VariantRole.HOLDOUT, 20),
    ),
    ignored_variants=("tester",),
    started_at=FIRST,
)


def seen(variant: str, identities: int = 10, *, feature: str = "button", days: int = 1) -> ExposedVariant:
    return ExposedVariant(feature, variant, identities, identities, FIRST, FIRST + days * DAY)


def found(*variants: ExposedVariant, experiment: Experiment = BUTTON) -> list[tuple[str, list[str]]]:
    flags = uncovered_flags(variants, [experiment])
    return [(flag.feature, [each.variant for each in flag.variants]) for flag in flags]


def test_uncovered__what_an_experiment_compares_holds_out_or_ignores__is_covered() -> None:
    covered = [seen(variant) for variant in ("control", "larger", "never", "tester")]
    assert found(*covered, seen("larger", feature="Button")) == [("Button", ["larger"])]


def test_uncovered__variant_that_its_experiment_does_not_have__names_the_experiment_and_no_control() -> None:
    assert uncovered_flags([seen("huge")], [BUTTON]) == [UncoveredFlag("button", (seen("huge"),), ("button",), None)]


@pytest.mark.parametrize(
    ("started_at", "ended_at", "covers"),
    [
        (None, None, True),  # not started
        (FIRST + DAY, None, True),  # the last exposure is the first one of the window
        (FIRST + 2 * DAY, None, False),
        (FIRST - 2 * DAY, FIRST, False),  # the end is not in the window
        (FIRST - 2 * DAY, FIRST + timedelta(milliseconds=1), True),
    ],
)
def test_uncovered__exposures_outside_the_window__are_not_covered(
    started_at: datetime | None, ended_at: datetime | None, covers: bool
) -> None:
    of_window = replace(BUTTON, started_at=started_at, ended_at=ended_at)
    assert found(seen("larger"), experiment=of_window) == ([] if covers else [("button", ["larger"])])


def test_uncovered__several_flags__the_one_with_the_most_identities_first() -> None:
    flags = uncovered_flags([seen("a", 5, feature="one"), seen("a", 4, feature="two"), seen("b", 3, feature="two")], [])
    assert [(flag.feature, flag.experiments) for flag in flags] == [("two", ()), ("one", ())]
    late = replace(seen("b"), first_at=FIRST - DAY, last_at=FIRST)
    (flag,) = uncovered_flags([seen("a"), late], [])
    assert (flag.first_at, flag.last_at) == (FIRST - DAY, FIRST + DAY)


@pytest.mark.parametrize(
    ("variants", "control", "sign"),
    [
        (["off", "control"], "control", ControlSign.KEY),
        (["off", "Control"], "Control", ControlSign.NAME),
        (["on", "Off"], "Off", ControlSign.NAME),
        (["1", "0"], "0", ControlSign.NAME),
        (["b", "a"], "a", ControlSign.NAME),
        (["a", "baseline"], "baseline", ControlSign.NAME),
        (["blue", "green"], "green", ControlSign.MOST_IDENTITIES),
    ],
)
def test_probable_control__by_key_then_by_name_then_by_identities(
    variants: list[str], control: str, sign: ControlSign
) -> None:
    exposed = [seen(variant, 10 + place) for place, variant in enumerate(variants)]
    assert probable_control(exposed) == ProbableControl(control, sign)
