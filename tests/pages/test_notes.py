"""Metrics of version 2 in a terminal and as CSV: every kind has its numbers, its unit, and its parts."""

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.console import Group as Lines

from experiment_pipeline.cli.results_csv import write_csv
from experiment_pipeline.cli.results_table import ResultsTable
from experiment_pipeline.domain.aggregates import (
    Bounds,
    MetricAggregates,
    PairAggregate,
    QuantileEstimate,
    VariantAggregate,
)
from experiment_pipeline.domain.experiments import Design, Experiment, Prior, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import (
    ExpectedDirection,
    Funnel,
    Maturity,
    Mean,
    Metric,
    Quantile,
    Ratio,
    Statistic,
)
from experiment_pipeline.domain.refresh import Computation, ComputationState
from experiment_pipeline.pages.metrics import interval_label, metric_views
from experiment_pipeline.pages.notes import note_lines, sensitivity_lines
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import ResultsPayload, results_payload
from tests.results.subjects import CONTROL, experiment, rate

N = 1_000
START = datetime(2026, 3, 1, tzinfo=UTC)
COUNT = Measure(Events("visit"), Aggregation.COUNT)
HABITS = PairAggregate(N, 2.0, 4.0, 2e3, 3e3, 1.8e3)


def found(moments: VariantAggregate | None, **parts: object) -> MetricAggregates:
    arms = dict.fromkeys(("control", "b"), moments)
    return MetricAggregates(7, arms, values=dict.fromkeys(arms, N), **parts)  # type: ignore[arg-type]


def state_of(payload: ResultsPayload) -> ComputationState[ResultsPayload]:
    times: tuple[None, None, None] = (None, None, None)
    return ComputationState(Computation.RESULTS, *times, payload, False, None, 0, None, None)


def printed(statistic: Statistic, aggregates: MetricAggregates, unit: str = "") -> str:
    """Return what is printed of a metric, each run of spaces as one."""
    subject = experiment(metric=Metric(7, "prod", "m", statistic, maturity=Maturity.COMPLETE, unit=unit))
    payload = results_payload(compute_results(subject, {"control": N, "b": N}, [aggregates], Floors()))
    console = Console(width=300, file=io.StringIO(), markup=False, color_system=None)
    with console.capture() as capture:
        table = ResultsTable(metric_views(subject, payload), interval_label(subject))
        console.print(Lines(table, *map(str, note_lines(subject, payload))))
    return "\n".join(" ".join(line.split()) for line in capture.get().splitlines())


def test_results__ratio__is_a_number_with_its_unit_and_its_bounds() -> None:
    joint = PairAggregate(N, 2.0, 60.0, 2e3, 2e6, 6e4)
    bounds = Bounds(99.5, None, {"control": 3, "b": 0}, {})
    arms = ("control", "b")
    parts = {"joint": dict.fromkeys(arms, joint), "nonzero_x": dict.fromkeys(arms, N)}
    aggregates = found(VariantAggregate(N, 60.0, 2e6), bounds=bounds, **parts)
    text = printed(Ratio(COUNT, COUNT), aggregates, unit="EUR")
    assert "m control 1,000 30.000" in text
    assert "higher is better, in EUR b 1,000 30.000 +0.000" in text
    assert "m: values above 99.5 count as it: control 3, b 0 identities" in text


def test_results__quantile__is_a_number() -> None:
    estimates = dict.fromkeys(("control", "b"), QuantileEstimate(N, 2.5, 2.4, 2.6))
    text = printed(Quantile(0.9, Events("page")), found(None, quantiles=estimates))
    assert "m control 1,000 2.5000" in text


def test_results__funnel__is_a_share() -> None:
    text = printed(Funnel((Events("cart"), Events("buy"))), found(rate(N, 300)))
    assert "300 of 1,000 30.000 %" in text


def test_results__adjusted__has_a_row_of_its_own() -> None:
    joint = dict.fromkeys(("control", "b"), HABITS)
    aggregates = found(VariantAggregate(N, 4.0, 3e3), joint=joint, not_mature={"control": 9})
    text = printed(Mean(COUNT, covariate_before=timedelta(14)), aggregates)
    assert "adjusted +0.0000 +0.00 %" in text
    assert "m, b: the pre-period explains 54.0 % of the variance; the adjusted reading decides" in text
    assert "m: not counted until their window ends: control 9, b 0 identities" in text


def test_results__not_adjusted__says_why() -> None:
    joint = dict.fromkeys(("control", "b"), PairAggregate(N, 0.0, 4.0, 0.0, 3e3, 0.0))
    text = printed(Mean(COUNT, covariate_before=timedelta(14)), found(VariantAggregate(N, 4.0, 3e3), joint=joint))
    assert "m, b: not adjusted, all identities were the same before their exposure; the plain reading decides" in text
    assert "adjusted +" not in text


def test_results__not_adjusted_and_withheld__says_that_neither_reading_decides() -> None:
    joint = dict.fromkeys(("control", "b"), PairAggregate(20, 0.0, 4.0, 0.0, 60.0, 0.0))
    text = printed(Mean(COUNT, covariate_before=timedelta(14)), found(VariantAggregate(20, 4.0, 60.0), joint=joint))
    assert "m, b: not adjusted, too few identities; the plain reading is withheld, too" in text


def test_results__margin_and_risk__are_told_and_in_the_csv() -> None:
    subject = experiment(expected=ExpectedDirection.NOT_DECREASE)
    subject = replace(subject, metrics=(replace(subject.metrics[0], margin=0.1),))
    arms = {"control": rate(20_000, 10_000), "b": rate(20_000, 10_000)}
    computed = compute_results(subject, dict.fromkeys(arms, 20_000), [MetricAggregates(7, dict(arms))], Floors())
    payload = results_payload(computed)
    lines = [str(line) for line in note_lines(subject, payload)]
    assert any(
        re.fullmatch(r"bought, b: \+5\.000 points from the margin \(\+.* points at every look\)", x) for x in lines
    )
    assert any(re.fullmatch(r"bought, b: expected loss per identity 0\.\d+ points if shipped, .*", x) for x in lines)
    file = io.StringIO()
    write_csv(subject, state_of(payload), file)
    _, treatment = csv.DictReader(io.StringIO(file.getvalue()))
    margin = payload["metrics"][0]["margin"]["b"]
    columns = "margin", "from_margin", "from_margin_low", "from_margin_high"
    assert [float(treatment[column]) for column in columns] == [
        margin["margin"], margin["value"], margin["ci_low"], margin["ci_high"],
    ]  # fmt: skip


def test_results__post_stratified__is_told_and_in_the_csv() -> None:
    subject = experiment()
    arms = {"control": rate(20_000, 10_000), "b": rate(20_000, 10_000)}
    computed = compute_results(subject, dict.fromkeys(arms, 20_000), [MetricAggregates(7, dict(arms))], Floors())
    payload = results_payload(computed)
    payload["metrics"][0]["post_stratified"] = {
        "b": {"value": 0.01, "ci_low": -0.01, "ci_high": 0.03, "standard_error": 0.01, "cells": 2, "reason": None}
    }
    lines = [str(line) for line in note_lines(subject, payload)]
    assert "bought, b: post-stratified effect +1.000 points (-1.000 points to +3.000 points)" in lines
    file = io.StringIO()
    write_csv(subject, state_of(payload), file)
    _, treatment = csv.DictReader(io.StringIO(file.getvalue()))
    assert (treatment["post_stratified_effect"], treatment["post_stratified_high"]) == ("0.01", "0.03")


def test_results__as_csv__have_type_unit_and_adjusted_reading() -> None:
    statistic = Mean(COUNT, covariate_before=timedelta(14))
    subject = experiment(metric=Metric(7, "prod", "m", statistic, unit="visits"))
    aggregates = found(VariantAggregate(N, 4.0, 3e3), joint=dict.fromkeys(("control", "b"), HABITS))
    payload = results_payload(compute_results(subject, {"control": N, "b": N}, [aggregates], Floors()))
    file = io.StringIO()
    write_csv(subject, state_of(payload), file)
    control, treatment = csv.DictReader(io.StringIO(file.getvalue()))
    assert (control["type"], control["unit"], control["value"], control["decided_by"]) == ("mean", "visits", "4.0", "")
    assert (treatment["adjusted_effect"], treatment["decided_by"]) == ("0.0", "adjusted")
    assert float(treatment["variance_reduction"]) == 0.54


def progressing(*, as_of: datetime | None, n: int = 5_000) -> tuple[Experiment, ResultsPayload]:
    """Return three variants of a tenth each after ten days, the planned sample being 14,128 an arm."""
    variants = (CONTROL, *(Variant(key, VariantRole.TREATMENT, 33) for key in ("b", "c")))
    design = Design(alpha=0.1, mde=0.1, baseline=0.1)  # shared out, 0.05 for each treatment
    subject = experiment(variants, design=design, started_at=START)
    arms = {key: rate(n, n // 10) for key in ("control", "b", "c")}
    computed = compute_results(
        subject, dict.fromkeys(arms, n), [MetricAggregates(7, dict(arms))], Floors(), as_of=as_of
    )
    return subject, results_payload(computed)


def test_results__progress_against_the_design__says_what_is_needed_and_when() -> None:
    subject, payload = progressing(as_of=START + timedelta(days=10))
    lines = [str(line) for line in note_lines(subject, payload)]
    assert "bought: chance to be best: control 33.33 %, b 33.33 %, c 33.33 %" in lines
    line = next(line for line in lines if line.startswith("bought, b: "))
    assert line == (
        "bought, b: 35.4 % of the planned evidence, all of it at about 28,262 identities of both variants; "
        "about 18.3 days left at the traffic so far"
    )


def test_results__progress__says_when_the_end_is_reached_and_when_time_is_unknown() -> None:
    assert "planned evidence; the planned end is reached" in "\n".join(
        str(line) for line in note_lines(*progressing(as_of=START + timedelta(days=10), n=20_000))
    )
    assert "both variants; time left unknown: no time has passed" in "\n".join(
        str(line) for line in note_lines(*progressing(as_of=None))
    )


def test_results__progress__is_in_the_csv() -> None:
    subject, payload = progressing(as_of=START + timedelta(days=10))
    file = io.StringIO()
    write_csv(subject, state_of(payload), file)
    control, treatment, _ = csv.DictReader(io.StringIO(file.getvalue()))
    shown = payload["metrics"][0]["progress"]["b"]
    columns = "information_fraction", "identities_needed", "days_left"
    assert [float(treatment[column]) for column in columns] == [
        shown["information_fraction"],
        shown["identities_needed"],
        shown["days_left_at_current_traffic"],
    ]
    assert [control[column] for column in columns] == [""] * 3


def test_results__posterior__is_beside_the_table() -> None:
    subject = replace(experiment(), prior=Prior(mean=0.02, standard_deviation=0.05))
    arms = {"control": rate(10_000, 1_000), "b": rate(10_000, 1_100)}
    computed = compute_results(subject, dict.fromkeys(arms, 10_000), [MetricAggregates(7, dict(arms))], Floors())
    lines = [str(line) for line in note_lines(subject, results_payload(computed))]
    (line,) = [line for line in lines if "prior" in line]
    assert line.startswith("bought, b: with the prior the lift is +")
    assert line.endswith(" %; no verdict rests on it")


def test_results__planned_looks__are_told_with_the_one_that_decides() -> None:
    subject = experiment(design=Design(mde=0.2, baseline=0.1, n_looks=4))

    def lines(n: int) -> list[str]:
        arms = {"control": rate(n, n // 10), "b": rate(n, n // 10)}
        found = [MetricAggregates(7, dict(arms))]
        computed = compute_results(subject, dict.fromkeys(arms, n), found, Floors(), as_of=START)
        return [str(line) for line in note_lines(subject, results_payload(computed)) if "planned look" in str(line)]

    assert lines(200) == ["bought, b: no planned look of 4 was taken: the first planned look is not due yet"]
    assert lines(2_000) == [
        "bought, b: the verdict is that of planned look 2 of 4, at 56.6 % of the planned evidence: z = +0.00, "
        "boundary 2.76"
    ]


def test_results__sensitivity__is_a_line_a_treatment_and_says_where_readings_disagree() -> None:
    variants = (CONTROL, *(Variant(key, VariantRole.TREATMENT, 33) for key in ("b", "c")))
    subject = experiment(variants)
    declared = {"control": rate(10_000, 1_000), "b": rate(10_000, 1_200), "c": rate(10_000, 1_200)}
    first = MetricAggregates(7, {"control": rate(10_000, 1_000), "b": rate(10_000, 900), "c": rate(40, 6)})
    found = MetricAggregates(7, dict(declared), sensitivity={"first": first})
    payload = results_payload(compute_results(subject, dict.fromkeys(declared, 10_000), [found], Floors()))
    read = "read with identities of several variants counted in the first"
    assert [str(line) for line in sensitivity_lines(subject, payload)] == [
        f"bought, b: {read}: -10.00 %, inconclusive. The readings disagree: it is not shipped.",
        f"bought, c: {read}: too few identities, collecting data",
    ]
    del payload["sensitivity"]
    assert list(sensitivity_lines(subject, payload)) == []
