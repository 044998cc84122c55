"""`experiment-pipeline results`, and how payloads read."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiment_pipeline.cli.results import as_json_document
from experiment_pipeline.cli.results_csv import COLUMNS
from experiment_pipeline.cli.results_report import report
from experiment_pipeline.domain.aggregates import MetricAggregates, PairAggregate, ValueSummary, VariantAggregate
from experiment_pipeline.domain.experiments import Design, Variant, VariantRole
from experiment_pipeline.domain.floors import SHIPPED_FLOORS, Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Direction, ExpectedDirection, Metric, Ratio
from experiment_pipeline.domain.refresh import Computation, ComputationState, ComputedTogether, StoredHealth
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.decision import decide_experiment
from experiment_pipeline.results.payload import results_payload
from tests.cli.conftest import Run
from tests.metrics import version_1
from tests.results.subjects import EVEN, experiment, rate

NONZERO = {"control": 149, "b": 2_000}
PURCHASE = Events("purchase")
ORDER_VALUE = Metric(
    1, "prod", "measured", Ratio(Measure(PURCHASE, Aggregation.SUM), Measure(PURCHASE, Aggregation.COUNT))
)
AT = datetime(2026, 3, 10, 12, tzinfo=UTC)


def test_results__before_anything_was_computed__say_so(declared: Run) -> None:
    shown = declared("results", "checkout")
    assert shown.exit_code == 0
    assert "Nothing has been computed yet" in shown.stdout
    assert "chance to win" not in shown.stdout
    document = json.loads(declared("results", "checkout", "--json").stdout)
    nothing = ("window", "as_of", "data_version", "granularity", "exposures", "results", "health")
    assert {name: document[name] for name in nothing} == dict.fromkeys(nothing)
    assert (document["key"], document["environment"]) == ("checkout", "production")


def test_results__as_csv_before_anything_was_computed__are_the_header(declared: Run) -> None:
    shown = declared("results", "checkout", "--csv")
    assert (shown.exit_code, shown.stdout) == (0, ",".join(COLUMNS) + "\n")
    assert declared("results", "checkout", "--csv", "--json").stderr == (
        "Error: --csv: Give --json or --csv, not both.\n"
    )


def test_results__explain__needs_no_experiment(run: Run) -> None:
    shown = run("results", "--explain")
    assert shown.exit_code == 0
    assert "chance to win" in shown.stdout


@pytest.mark.parametrize("arguments", [("nobody",), ("checkout", "--environment", "elsewhere"), ("nobody", "--json")])
def test_results__of_an_unknown_experiment__are_one_clear_line_and_exit_code_2(
    declared: Run, arguments: tuple[str, ...]
) -> None:
    refused = declared("results", *arguments)
    where = " in elsewhere" if "elsewhere" in arguments else ""
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == f"Error: No experiment '{arguments[0]}'{where}.\n"


def test_results__of_a_key_that_two_environments_have__ask_which(declared: Run, manifest: Path) -> None:
    manifest.write_text(manifest.read_text("utf-8").replace("production", "staging"), "utf-8")
    assert declared("apply", manifest).exit_code == 0
    refused = declared("results", "checkout")
    assert refused.exit_code == 2
    assert "--environment: several environments have a 'checkout': name one of production, staging." in refused.stderr
    assert declared("results", "checkout", "--environment", "staging").exit_code == 0


def state(computation: Computation, payload: Any) -> ComputationState:
    return ComputationState(
        computation=computation,
        as_of=AT,
        data_version=1,
        computed_at=AT,
        payload=payload,
        is_final=False,
        last_error_at=None,
        failures=0,
        refresh_requested_at=None,
        last_duration_seconds=1,
    )


def reported(
    arms: dict[str, VariantAggregate | None],
    metric: Metric,
    expected: ExpectedDirection = ExpectedDirection.INCREASE,
    *,
    design: Design | None = None,
    empty_arm: int = 0,
    excluded: int = 0,
    failed_at: datetime | None = None,
    names: bool = True,
    values: tuple[dict[str, int], dict[str, int]] | None = None,
    unlisted: tuple[int, int] | None = None,
    health: StoredHealth | None = None,
    floors: Floors = SHIPPED_FLOORS,
    nonzero: dict[str, int] | None = None,
    decides: bool = False,
    of: MetricAggregates | None = None,
) -> str:
    """Return the printed lines of control and one treatment."""
    variants = (*EVEN, Variant("c", VariantRole.TREATMENT, 0)) if empty_arm else EVEN
    subject = experiment(variants, metric, expected, design, started_at=AT.replace(day=1))
    counted = {key: ValueSummary(count, 5_000, 9.0, 2_000.0) for key, count in (nonzero or {}).items()}
    aggregates = of or MetricAggregates(metric.id, arms, *(values or ({}, {})), of_identities=counted)
    identities = {key: 1000 if arm is None else arm.n for key, arm in aggregates.by_variant.items()}
    if empty_arm:
        identities["c"] = empty_arm
    computed = compute_results(subject, identities, [aggregates], floors)
    point: dict[str, Any] = {"bucket": "2026-03-01T00:00:00Z", "new_identities": identities}
    exposures = {"excluded_identities": excluded, "timeseries": {"granularity": "day", "points": [point]}}
    if unlisted is not None:
        exposures["unlisted_variants"], point["unlisted_identities"] = unlisted
    payload = results_payload(computed, decision=decide_experiment(subject, computed) if decides else None)
    if not names:
        del payload["metrics"][0]["name"], payload["metrics"][0]["nonzero"]
    results = replace(state(Computation.RESULTS, payload), last_error_at=failed_at)
    console = Console(width=150)
    with console.capture() as capture:
        together = ComputedTogether(state(Computation.EXPOSURES, exposures), results)
        console.print(report(subject, together, health, floors=floors))
    return capture.get()


def metric(aggregation: Aggregation, direction: Direction = Direction.UP) -> Metric:
    return version_1(1, "prod", "measured", "purchase", aggregation, direction)


def test_report__what_is_withheld__stands_with_its_reason() -> None:
    text = reported({"control": VariantAggregate(10, 0.5, 2.5), "b": None}, metric(Aggregation.OCCURRENCE))
    assert "withheld: measured, b: values are too large for a float" in text
    assert text.count("–") == 6, "value, effect, lift, interval, chance to win, p"
    assert "collecting data" in text


@pytest.mark.parametrize(
    ("control", "b", "aggregation", "told"),
    [
        ((10, 0.5), (1_200, 0.5), Aggregation.OCCURRENCE, "too few identities: control 10, b 1,200; each arm needs 50"),
        ((80, 0.05), (80, 0.5), Aggregation.OCCURRENCE, "too few conversions: control 4, b 40; each arm needs 7"),
        ((800, 0.5), (800, 0.5), Aggregation.SUM,
         "too few identities with a value that is not 0: control 149, b 2,000; each arm needs 150"),
    ],
)  # fmt: skip
def test_report__less_data_than_the_floor__says_how_much_each_arm_has_and_needs(
    control: tuple[int, float], b: tuple[int, float], aggregation: Aggregation, told: str
) -> None:
    arms = {key: VariantAggregate(n, mean, 20.0) for key, (n, mean) in (("control", control), ("b", b))}
    floors = Floors(conversions=7)
    assert f"withheld: measured, b: {told}\n" in reported({**arms}, metric(aggregation), floors=floors, nonzero=NONZERO)


@pytest.mark.parametrize(
    ("numerators", "denominators", "told"),
    [
        (149, 900, "too few identities whose numerator is not 0: control 149, b 149; each arm needs 150"),
        (900, 20, "too few identities whose denominator is not 0: control 20, b 20; each arm needs 150"),
    ],
)
def test_report__less_of_a_ratio_than_the_floor__names_the_side_that_lacks_it(
    numerators: int, denominators: int, told: str
) -> None:
    arms = ("control", "b")
    aggregates = MetricAggregates(
        1,
        dict.fromkeys(arms, VariantAggregate(2_000, 60.0, 2e6)),
        of_identities=dict.fromkeys(arms, ValueSummary(numerators, 2_000, 9.0, 2_000.0)),
        joint=dict.fromkeys(arms, PairAggregate(2_000, 2.0, 60.0, 2e3, 2e6, 0.0)),
        nonzero_x=dict.fromkeys(arms, denominators),
    )
    assert f"withheld: measured, b: {told}\n" in reported({}, ORDER_VALUE, of=aggregates)


def test_report__floor_of_a_payload_that_did_not_count__is_named() -> None:
    arms = {key: VariantAggregate(800, 0.5, 20.0) for key in ("control", "b")}
    text = reported({**arms}, metric(Aggregation.SUM), nonzero=NONZERO, names=False)
    assert "withheld: measured, b: too few identities that are not 0\n" in text


def test_report__variant_that_a_sender_made_up__is_shown_as_it_is_on_its_line() -> None:
    arms = {"control": VariantAggregate(80, 0.5, 20), "b": VariantAggregate(80, 0.5, 20)}
    odd = "[red]x[/red]\x1b[31m\n\u202ewithheld: nothing"
    text = reported({**arms, odd: VariantAggregate(7, 0, 0)}, metric(Aggregation.OCCURRENCE))
    assert "not compared: [red]x[/red]\\x1b[31m\\n\\u202ewithheld: nothing 7" in text
    long = reported({**arms, "y" * 65_535: VariantAggregate(7, 0, 0)}, metric(Aggregation.OCCURRENCE))
    assert f"not compared: {'y' * 60} ... 7" in long.replace("\n", "")


def test_report__variants_that_are_not_listed__are_counted__x6() -> None:
    arms = {"control": VariantAggregate(80, 0.5, 20), "b": VariantAggregate(80, 0.5, 20)}
    text = reported({**arms}, metric(Aggregation.OCCURRENCE), unlisted=(199_997, 200_000))
    assert "200,160 identities exposed" in text
    assert "not compared: 199,997 other variants 200,000" in text


def test_report__values_that_are_no_numbers__are_told_and_there_is_no_verdict__e5() -> None:
    arms = {"control": VariantAggregate(120, 1078.5, 9e6), "b": VariantAggregate(120, 269.0, 9e5)}
    text = reported({**arms}, metric(Aggregation.SUM), values=({"control": 120, "b": 120}, {"control": 1, "b": 86}))
    assert "unreadable: measured, control: 1 of 120 values are no numbers and do not count" in text
    assert "unreadable: measured, b: 86 of 120 values are no numbers and do not count" in text
    assert "withheld: measured, b: more than 1 % of the values in an arm are not numbers" in text
    assert "inconclusive" in text


def test_report__split_that_cannot_be_tested__says_why() -> None:
    text = reported({"control": VariantAggregate(10, 0.5, 2.5)}, metric(Aggregation.OCCURRENCE))
    assert "split not tested: fewer than 100 identities (control 10 / b 0)" in text


def test_report__split_whose_p_value_is_too_small_for_a_float__is_not_said_to_have_p_0() -> None:
    arms = {"control": VariantAggregate(90_000, 0.5, 22_500), "b": VariantAggregate(10_000, 0.5, 2_500)}
    text = " ".join(reported({**arms}, metric(Aggregation.OCCURRENCE)).split())
    assert "(SRM p < 0.0001, at every look p < 0.0001)" in text


def test_report__split_with_traffic_that_it_does_not_provide_for__is_broken_and_says_why__s2() -> None:
    arms = {"control": VariantAggregate(1000, 0.5, 250), "b": VariantAggregate(1000, 0.5, 250)}
    text = reported({**arms}, metric(Aggregation.OCCURRENCE), empty_arm=1000)
    assert "split BROKEN: control 1,000 / b 1,000 / c 1,000, expected 50 % / 50 % / 0 % (SRM p = 1, at every" in text
    assert "identities came to a variant whose share is 0" in " ".join(text.split())
    assert "Do not trust these numbers" in text
    unknown = reported({**arms, "x": arms["b"]}, metric(Aggregation.OCCURRENCE))
    assert "identities came to variants that the experiment does not configure" in " ".join(unknown.split())


def test_report__who_is_not_compared_or_counted__is_told_apart() -> None:
    arms = {"control": VariantAggregate(80, 0.5, 20), "b": VariantAggregate(80, 0.5, 20)}
    text = reported({**arms, "unheard of": VariantAggregate(7, 0, 0)}, metric(Aggregation.OCCURRENCE), excluded=3)
    assert "167 identities exposed, 3 more excluded for seeing several variants; not compared: unheard of 7" in text


@pytest.mark.parametrize(
    ("mean", "value", "effect"),
    [
        (1_234_567.0, "1,234,567", "+123,457"),
        (799.852, "799.85", "+79.99"),
        (0.12, "0.12000", "+0.01200"),
        (1e-9, "1.0000e-09", "+1.0000e-10"),
        (1e120, "1.0000e+120", "+1.0000e+119"),
    ],
)
def test_report__numbers_of_any_size__keep_five_digits(mean: float, value: str, effect: str) -> None:
    arms = {"control": VariantAggregate(1000, mean, 0.0), "b": VariantAggregate(1000, 1.1 * mean, 0.0)}
    text = reported({**arms}, metric(Aggregation.SUM))
    digits = value.split("e", maxsplit=1)[0].replace(",", "").replace(".", "").lstrip("0")
    assert len(digits) >= 5
    assert f" {value} " in text
    assert f" {effect} " in text


def test_report__chance_that_is_nearly_certain__is_not_called_certain() -> None:
    arms = {"control": VariantAggregate(1000, 1.0, 900.0), "b": VariantAggregate(1000, 2.0, 900.0)}
    assert "> 99.99 %" in reported({**arms}, metric(Aggregation.SUM))
    assert "< 0.01 %" in reported({**arms}, metric(Aggregation.SUM, Direction.DOWN))
    same = reported({**arms, "b": arms["control"]}, metric(Aggregation.SUM))
    assert " 50.00 %        1.0000  inconclusive" in same


def test_report__p_value__is_the_one_that_the_verdict_rests_on() -> None:
    arms = {"control": VariantAggregate(10_000, 0.10, 900.0), "b": VariantAggregate(10_000, 0.11, 979.0)}
    shown = reported({**arms}, metric(Aggregation.OCCURRENCE), design=Design(mde=0.1, baseline=0.1))
    assert " 98.95 %        0.1638  inconclusive" in shown
    assert "p, all looks" in shown
    arms["b"] = VariantAggregate(10_000, 0.2, 1600.0)
    assert " < 0.0001  winning" in reported({**arms}, metric(Aggregation.OCCURRENCE))


@pytest.mark.parametrize(
    ("direction", "expected", "words"),
    [
        (Direction.UP, ExpectedDirection.INCREASE, "higher is better"),
        (Direction.DOWN, ExpectedDirection.DECREASE, "lower is better"),
        (Direction.DOWN, ExpectedDirection.NOT_INCREASE, "must not rise"),
        (Direction.UP, ExpectedDirection.NOT_DECREASE, "must not fall"),
        (Direction.INFORMATIONAL, ExpectedDirection.DECREASE, "expected to fall"),
    ],
)
def test_report__each_metric__says_what_its_verdict_is_about(
    direction: Direction, expected: ExpectedDirection, words: str
) -> None:
    arms = {"control": VariantAggregate(1000, 1.0, 900.0), "b": VariantAggregate(1000, 1.0, 900.0)}
    assert f"\n  {words} " in reported({**arms}, metric(Aggregation.SUM, direction), expected)


def test_report__interval__is_named_by_the_designs_level() -> None:
    arms = {"control": VariantAggregate(1000, 1.0, 900.0), "b": VariantAggregate(1000, 1.0, 900.0)}
    assert "99.5 % interval" in reported({**arms}, metric(Aggregation.SUM), design=Design(alpha=0.005))


def test_report__last_refresh_that_failed__is_told_beside_what_still_stands__r3() -> None:
    arms = {"control": VariantAggregate(1000, 1.0, 900.0), "b": VariantAggregate(1000, 1.0, 900.0)}
    text = reported({**arms}, metric(Aggregation.SUM), failed_at=AT)
    assert "last refresh failed 2026-03-10 12:00" in text
    assert "higher is better" in text


def test_report__payload_of_a_version_that_did_not_name_metrics__reads_the_same() -> None:
    arms = {"control": VariantAggregate(1000, 1.0, 900.0), "b": None}
    older, newer = (reported({**arms}, metric(Aggregation.SUM), names=names) for names in (False, True))
    assert "withheld: measured, b: values are too large for a float" in older
    assert older == newer


def test_json__of_results__says_whose_they_are_and_of_which_window() -> None:
    measured = metric(Aggregation.OCCURRENCE)
    subject = replace(experiment(metric=measured, started_at=AT.replace(day=1)), feature="button")
    exposures = {"excluded_identities": 0, "timeseries": {"granularity": "day", "points": []}}
    both = ComputedTogether(state(Computation.EXPOSURES, exposures), state(Computation.RESULTS, {}))
    health = StoredHealth(AT, 1, [{"severity": "ok", "check": "c"}])
    document = as_json_document(subject, both, health)
    described = {name: value for name, value in document.items() if name not in ("exposures", "results", "health")}
    assert described == {
        "key": "checkout",
        "name": "Checkout",
        "environment": "prod",
        "feature": "button",
        "status": "running",
        "phase": 1,
        "metrics": {"1": "measured"},
        "window": {"started_at": "2026-03-01T12:00:00Z", "as_of": "2026-03-10T12:00:00Z"},
        "as_of": "2026-03-10T12:00:00Z",
        "data_version": 1,
        "granularity": "day",
    }
    assert document["health"] == health.to_json()


def test_report__findings_that_did_not_pass__stand_below_it_worst_first() -> None:
    arms = {"control": VariantAggregate(80, 0.5, 20), "b": VariantAggregate(80, 0.5, 20)}
    fine: dict[str, Any] = {"check": "a", "severity": "ok", "title": "Fine", "detail": "All is well."}
    warning = {**fine, "check": "b", "severity": "warning", "title": "Odd", "detail": "Look [red]here."}
    error = {**warning, "check": "c", "severity": "error", "title": "Broken"}
    told_above = {**error, "check": "split_as_configured", "title": "Twice"}
    stored = StoredHealth(AT, 1, [fine, warning, error, told_above])
    lines = reported({**arms}, metric(Aggregation.OCCURRENCE), health=stored).rstrip().splitlines()
    assert [line.rstrip() for line in lines[-2:]] == ["error: Broken. Look [red]here.", "warning: Odd. Look [red]here."]


def test_report__decision__is_one_line_with_its_rule__c10() -> None:
    arms: dict[str, VariantAggregate | None] = {"control": rate(2_000, 800), "b": rate(2_000, 1_200)}
    text = reported(arms, metric(Aggregation.OCCURRENCE), decides=True)
    why = "It is shown to be better on measured, and no guardrail is harmed."
    assert f"decision ship b: {why} (rule 7 primary winning)\n" in text
    assert "decision" not in reported(arms, metric(Aggregation.OCCURRENCE)), "what an older version stored has none"


def test_report__decision_on_several_treatments__has_a_line_for_each__c10() -> None:
    arms: dict[str, VariantAggregate | None] = {"control": rate(2_000, 1_000), "b": rate(2_000, 600)}
    text = reported(arms, metric(Aggregation.OCCURRENCE), decides=True, empty_arm=10)
    assert "decision keep running: c: " in text
    assert "\n  b: rollback: It is shown to be worse on measured. (rule 4 primary losing)\n" in text
