"""Parts of metrics in terminals of every width: steps, values of dimensions, and their adjusted readings."""

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from experiment_pipeline.cli.parts_table import PartsTable
from experiment_pipeline.domain.aggregates import Group, MetricAggregates, Part, VariantAggregate
from experiment_pipeline.domain.audience import EVERYBODY, Audience
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Funnel, Mean, Metric, Statistic
from experiment_pipeline.pages.metrics import interval_label
from experiment_pipeline.pages.parts import part_views
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import results_payload
from tests.pages.test_notes import COUNT, HABITS, N, found
from tests.results.subjects import experiment, rate

WIDE, NARROW = 200, 100
OCCURS = Mean(Measure(Events("buy"), Aggregation.OCCURRENCE))


def printed(
    statistic: Statistic, groups: dict[Group, MetricAggregates], width: int, audience: Audience = EVERYBODY
) -> list[str]:
    """The lines, each run of spaces as one."""
    subject = replace(experiment(metric=Metric(7, "prod", "m", statistic)), audience=audience)
    aggregates = found(rate(N, 100), groups=groups)
    payload = results_payload(compute_results(subject, {"control": N, "b": N}, [aggregates], Floors()))
    console = Console(width=width, file=io.StringIO(), markup=False, color_system=None)
    with console.capture() as capture:
        console.print(PartsTable(part_views(subject, payload), interval_label(subject)))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_parts__steps__have_values_and_no_verdict() -> None:
    steps = {Group(Part.STEP, str(step)): found(rate(N, 600 // step)) for step in (1, 2)}
    funnel = Funnel((Events("cart"), Events("buy")))
    heading, first, second = printed(funnel, steps, WIDE)[1:]
    assert heading == "part of a metric treatment n of control control n value lift 95 % interval verdict"
    assert first.startswith("m, step 1 cart b 1,000 60.000 % 1,000 60.000 % +0.00 % -")
    assert first.endswith(" %")
    assert second.startswith("m, step 2 buy b 1,000 30.000 %")
    first, *_ = printed(funnel, steps, NARROW)
    assert first.startswith("m, step 1 cart: control 60.000 % of 1,000, b 60.000 % of 1,000, lift +0.00 % (")


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_parts__crossed_dimensions__show_the_values_of_both(width: int) -> None:
    name = "country × device"
    cells = {
        Group(Part.DIMENSION, name, '["DE","mobile"]'): found(rate(400, 40)),
        Group(Part.DIMENSION, name, '[null,"a, \\"b\\""]'): found(rate(300, 3)),
        Group(Part.DIMENSION, name, None, is_other=True): found(rate(300, 30)),
    }
    text = " ".join(printed(OCCURS, cells, width, Audience(cross=(("country", "device"),))))
    for values in ('"DE", "mobile"', '(none), "a, "b""', "(all others)"):
        assert f"m, {name} {values}" in text


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_parts__breakdown__tells_values_from_the_lack_of_one(width: int) -> None:
    cells = {
        Group(Part.DIMENSION, "country", "other"): found(rate(400, 40)),
        Group(Part.DIMENSION, "country", None): found(rate(300, 3)),
        Group(Part.DIMENSION, "country", None, is_other=True): found(rate(300, 30)),
    }
    text = " ".join(printed(OCCURS, cells, width))
    colon = ":" if width == NARROW else ""
    for value in ('"other"', "(none)", "(all others)"):
        assert f"m, country {value}{colon} " in text
    assert "collecting data, too few conversions" in text
    assert "inconclusive" in text


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_parts__adjusted__have_that_reading_too(width: int) -> None:
    joint = dict.fromkeys(("control", "b"), HABITS)
    cells = {Group(Part.DIMENSION, "country", "DE"): found(VariantAggregate(N, 4.0, 3e3), joint=joint)}
    text = " ".join(printed(Mean(COUNT, covariate_before=timedelta(14)), cells, width))
    assert text.count("+0.00 %") == 2
    assert "adjusted" in text


def test_parts__of_a_metric_without_any__are_nothing() -> None:
    assert printed(OCCURS, {}, WIDE) == []
