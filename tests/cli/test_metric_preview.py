"""`metrics preview`: over the identities of an experiment or everybody, of declared metrics and of others."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.pages.quantities import a_day
from experiment_pipeline.registry.registry import Registry
from tests.cli.conftest import Run
from tests.lake.ledger import exposure, land, record

NEWEST = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
MANIFEST = f"""
environments: {{production: {{}}}}
metrics:
  revenue:
    unit: EUR
    definition: {{version: 2, statistic: mean, measure: {{event: purchase, aggregation: sum, cap: {{at: 50}}}}}}
  typo: {{definition: {{version: 2, statistic: mean, measure: {{event: Purchases, aggregation: count}}}}}}
experiments:
  checkout:
    name: Checkout
    hypothesis: A larger button sells more.
    feature: checkout
    variants: [{{key: larger, percentage_allocation: 50}}]
    metrics: [{{metric: revenue, expected_direction: increase}}]
    status: running
    started_at: {(NEWEST - timedelta(days=5)).isoformat()}
  planned:
    name: Planned
    hypothesis: It comes later.
    feature: other
    variants: [{{key: larger, percentage_allocation: 50}}]
"""
OTHER = """
metrics:
  orders: {definition: {version: 2, statistic: mean, measure: {event: purchase, aggregation: count}}}
  wrong: {definition: {version: 2, statistic: mean, measure: {event: purchase, aggregation: total}}}
"""


def at(days: float) -> int:
    return int((NEWEST - timedelta(days=days)).timestamp() * 1000)


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> Run:
    """An installation with events of ten people: eight in an experiment of two variants, one long ago, one in none."""
    (tmp_path / "experiments.yaml").write_text(MANIFEST, "utf-8")
    (tmp_path / "other.yaml").write_text(OTHER, "utf-8")
    assert run("apply", tmp_path / "experiments.yaml").exit_code == 0
    people = [f"p{number}" for number in range(8)]
    events = [
        exposure(identifier=who, value="larger" if place % 2 else "control", timestamp=at(4))
        for place, who in enumerate(people)
    ]
    bought = [*((who, value, 3) for who, value in zip(people, ("10", "10", "100", "no"), strict=False)), ("q", "20", 0)]
    events += [record(identifier=who, value=value, timestamp=at(days)) for who, value, days in bought]
    events.append(record(identifier="old", value="70", timestamp=at(30)))
    land(tmp_path / "data" / "landing", events, "a.jsonl", "production")
    assert run("lake", "ingest").exit_code == 0
    return run


def shown(run: Run, *arguments: object) -> dict[str, Any]:
    result = run("metrics", "preview", *arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_preview__of_an_experiment__is_over_its_identities_and_stored(filled: Run, tmp_path: Path) -> None:
    document = shown(filled, "revenue", "--experiment", "checkout")
    assert (document["identities"], document["n"], document["experiment"]) == (8, 8, "checkout")
    assert document["estimate"]["value"] == pytest.approx((10 + 10 + 50) / 8)
    assert document["estimate_without_bounds"]["value"] == pytest.approx((10 + 10 + 100) / 8)
    assert document["bounds"] == {"cap": {"at": 50, "identities": 1}}
    assert (document["values_read"], document["invalid_values"]) == (4, 1)
    assert document["distribution"]["share_of_zeros"] == 5 / 8
    assert document["distribution"]["top"] == [{"value": 0, "count": 5}, {"value": 10, "count": 2}]
    assert document["stored"] is True
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    (measured,) = registry.measurements.list(registry.metrics.find("production", "revenue"))
    registry.close()
    assert (measured.identities, measured.experiment_id, measured.cap) == (8, 1, 50)
    assert measured.statistic.aggregate.mean == pytest.approx(70 / 8)
    assert measured.uncapped is not None
    assert measured.uncapped.aggregate.mean == pytest.approx(120 / 8)


def test_preview__of_everybody__ends_with_the_newest_event_and_begins_with_the_first_one(filled: Run) -> None:
    recent = shown(filled, "revenue", "--days", "7")
    assert (recent["identities"], recent["experiment"]) == (9, None)
    started_at, as_of = (datetime.fromisoformat(recent["window"][end]) for end in ("started_at", "as_of"))
    assert as_of == NEWEST + timedelta(milliseconds=1)
    assert as_of - started_at == timedelta(days=7)
    assert recent["identities_per_day"] == pytest.approx(9 / 7)
    whole = shown(filled, "revenue", "--days", "365")
    assert whole["identities"] == 10
    assert datetime.fromisoformat(whole["window"]["started_at"]) == NEWEST - timedelta(days=30)
    assert shown(filled, "revenue")["identities"] == 9


def test_preview__in_a_terminal__shows_every_fact_and_warns(filled: Run) -> None:
    text = " ".join(filled("metrics", "preview", "revenue", "--experiment", "checkout").stdout.split())
    for line in (
        "revenue in production, over identities of checkout, ",
        "not 0 3 37.5 %",
        "mean 8.75 EUR",
        "without bounds 34.641 at 15",
        "values not numbers 1 25 % of 4",
        "cap 50 touches 1 identities, 12.5 %",
        "values, before cap and floor",
        "1 of 4 values are not numbers",
        "What was measured is stored.",
    ):
        assert line in text, text


def test_preview__of_a_metric_in_a_file__is_not_stored(filled: Run, tmp_path: Path) -> None:
    entry = OTHER.split("  wrong", maxsplit=1)[0]
    (tmp_path / "other.yaml").write_text(entry, "utf-8")
    document = shown(filled, "orders", "--file", tmp_path / "other.yaml", "--experiment", "checkout")
    assert (document["estimate"]["value"], document["stored"]) == (0.5, False)
    assert (
        "Nothing is stored: it is the metric of a file."
        in filled("metrics", "preview", "orders", "--file", tmp_path / "other.yaml").stdout
    )


def test_preview__without_counted_events__names_the_event_that_was_probably_meant(filled: Run) -> None:
    (nothing, near) = shown(filled, "typo")["warnings"]
    assert nothing == "No event counted: every value is 0."
    assert near == "There is no event 'Purchases' around this time. Did you mean 'purchase'?"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("revenu",), "No metric 'revenu' in environment production. Did you mean 'revenue'?"),
        (("revenue", "--experiment", "planned"), "Experiment 'planned' has not started: nobody is in it."),
        (("revenue", "--experiment", "nothing"), "No experiment 'nothing'."),
        (("revenue", "--days", "0"), "0 is not in the range 1<=x<=366"),
        (("revenue", "--days", "7", "--experiment", "checkout"), "Give --experiment or --days, not both"),
        (("wrong", "--file", "{file}"), "metrics.wrong.definition.measure.aggregation (line 4): "),
        (("order", "--file", "{file}"), "No metric 'order' in {file}. Did you mean 'orders'?"),
    ],
)
def test_preview__that_cannot_be__says_why(
    filled: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "other.yaml"
    refused = filled("metrics", "preview", *(each.format(file=file) for each in arguments))
    assert refused.exit_code == 2
    assert message.format(file=file) in refused.stderr


def test_preview__without_events__says_what_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "experiments.yaml").write_text(MANIFEST, "utf-8")
    run("apply", tmp_path / "experiments.yaml")
    refused = run("metrics", "preview", "revenue")
    assert refused.exit_code == 2
    assert "No events of environment production are in the lake. Ingest some with `lake ingest`." in refused.stderr
    refused = run("metrics", "preview", "revenue", "--experiment", "checkout")
    assert refused.exit_code == 2
    assert "No identity was exposed to 'checkout' between " in refused.stderr


def test_preview__names_with_brackets__are_shown_as_they_are(filled: Run, tmp_path: Path) -> None:
    measure = {"event": "[b]y", "aggregation": "count"}
    entry = {"definition": {"version": 2, "statistic": "mean", "measure": measure}}
    (tmp_path / "other.yaml").write_text(json.dumps({"metrics": {"[red]x": entry}}), "utf-8")
    text = filled("metrics", "preview", "[red]x", "--file", tmp_path / "other.yaml").stdout
    assert "[red]x in production" in text
    assert "There is no event '[b]y' around this time." in text


def test_preview__without_counted_events__keeps_what_was_measured_before(filled: Run, tmp_path: Path) -> None:
    assert shown(filled, "revenue")["stored"] is True
    before = json.loads(filled("power", "revenue", "--json").stdout)
    land(tmp_path / "data" / "landing", [exposure(identifier="z", timestamp=at(-1.9))], "b.jsonl", "production")
    assert filled("lake", "ingest").exit_code == 0
    empty = shown(filled, "revenue", "--days", "1")
    assert (empty["stored"], empty["not_stored_because"]) == (
        False,
        "no event counted, so that nothing can be planned from it",
    )
    assert json.loads(filled("power", "revenue", "--json").stdout) == before
    refused = filled("power", "revenue", "--days", "1")
    assert refused.exit_code == 2
    assert "Nothing can be planned from 'revenue': no event counted" in refused.stderr


@pytest.mark.parametrize(("number", "words"), [(0.032, "0.032"), (1.26, "1.3"), (12.6, "13"), (4_000.4, "4,000")])
def test_a_day__less_than_ten__keeps_two_digits(number: float, words: str) -> None:
    assert a_day(number) == words
