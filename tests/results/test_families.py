"""Families of comparisons: which metrics are judged together (docs/adr/0027, rule M22)."""

from dataclasses import replace

import pytest

from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection
from experiment_pipeline.results.families import Family, adjusted_p_values, comparison_levels, family_of
from tests.metrics import version_1

RISE, NO_RISE = ExpectedDirection.INCREASE, ExpectedDirection.NOT_INCREASE
ALPHA = 0.06


def attached(*expected: ExpectedDirection) -> list[AttachedMetric]:
    """Return one metric per direction, with ids from 1."""
    return [
        AttachedMetric(version_1(number, "prod", str(number), "purchase", Aggregation.OCCURRENCE), direction)
        for number, direction in enumerate(expected, start=1)
    ]


def test_levels__one_treatment_on_a_primary_metric_and_guardrails__are_the_whole_alpha_each() -> None:
    levels = comparison_levels(attached(RISE, NO_RISE, NO_RISE), {number: {"b": 1.0} for number in (1, 2, 3)}, ALPHA)
    assert levels == {number: {"b": ALPHA} for number in (1, 2, 3)}


def test_levels__several_treatments_on_one_metric__are_those_of_holm() -> None:
    levels = comparison_levels(attached(RISE), {1: {"b": 0.01, "c": 0.9, "d": 0.04}}, ALPHA)
    assert levels == {1: {"b": ALPHA / 3, "d": ALPHA / 2, "c": ALPHA / 2}}


def test_levels__secondary_metrics__are_one_family_of_benjamini_and_hochberg() -> None:
    p_values = {1: {"b": 1.0}, 2: {"b": 0.001}, 3: {"b": 0.03}, 4: {"b": 0.9}}
    levels = comparison_levels(attached(RISE, RISE, RISE, RISE), p_values, ALPHA)
    assert levels[1] == {"b": ALPHA}
    assert [levels[number]["b"] for number in (2, 3, 4)] == pytest.approx([ALPHA * 2 / 3] * 3)


def test_levels__metrics_added_after_the_start__are_a_family_of_their_own__m22() -> None:
    later = [replace(each, added_after_start=True) for each in attached(RISE, RISE, RISE, RISE, RISE)[3:]]
    metrics = [*attached(RISE, RISE, RISE), *later]
    assert [family_of(each, metrics) for each in later] == [Family.LATER] * 2
    without = {1: {"b": 1.0}, 2: {"b": 0.001}, 3: {"b": 0.9}}
    levels = comparison_levels(metrics, {**without, 4: {"b": 0.0001}, 5: {"b": 0.9}}, ALPHA)
    assert {number: levels[number] for number in without} == comparison_levels(metrics[:3], without, ALPHA)
    assert [levels[number]["b"] for number in (4, 5)] == pytest.approx([ALPHA / 2] * 2)


def test_levels__metric_without_a_treatment__takes_no_part() -> None:
    assert comparison_levels(attached(RISE, RISE), {1: {}, 2: {"b": 0.5}}, ALPHA) == {2: {"b": ALPHA}}


def test_family__of_each_metric__is_by_its_place_and_its_expectation() -> None:
    metrics = attached(NO_RISE, RISE, NO_RISE)
    families = [family_of(each, metrics) for each in metrics]
    assert families == [Family.PRIMARY, Family.SECONDARY, Family.GUARDRAIL]


def test_adjusted_p_values__are_those_of_holm_or_of_benjamini_and_hochberg() -> None:
    p_values = {1: {"b": 0.01, "c": 0.9}, 2: {"b": 0.01, "c": 0.04}, 3: {"b": 0.03}, 4: {"b": 0.02, "c": 1.0}}
    found = adjusted_p_values(attached(RISE, RISE, RISE, NO_RISE), p_values)
    assert found[1] == {"b": pytest.approx(0.02), "c": pytest.approx(0.9)}
    assert found[4] == {"b": pytest.approx(0.04), "c": 1.0}
    assert {**found[2], "3": found[3]["b"]} == pytest.approx({"b": 0.03, "c": 0.04, "3": 0.04})
