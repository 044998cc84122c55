"""Metrics on the command line."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_metrics__in_use__cannot_be_deleted(declared: Run) -> None:
    assert "purchase" in declared("metrics", "list").stdout
    assert json.loads(declared("metrics", "list", "--json").stdout)[0]["definition"]["event"] == "purchase"
    refused = declared("metrics", "delete", "purchase")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "Error: Cannot delete a metric attached to an active experiment. Detach it or complete the experiment first. "
        "It is attached to checkout.\n"
    )


def test_metrics__of_every_environment__are_listed_with_it(declared: Run, manifest: Path) -> None:
    manifest.write_text(manifest.read_text("utf-8").replace("production", "staging"), "utf-8")
    assert declared("apply", manifest).exit_code == 0
    assert all(environment in declared("metrics", "list").stdout for environment in ("production", "staging"))
    listed = json.loads(declared("metrics", "list", "--json").stdout)
    assert [(each["environment"], each["name"]) for each in listed] == [
        ("staging", "purchase"),
        ("production", "purchase"),
    ]
    (one,) = json.loads(declared("metrics", "list", "--environment", "production", "--json").stdout)
    assert one == listed[1]


VERSION_1 = """
environments: {production: {}}
metrics:
  purchase: {aggregation: occurrence, definition: {version: 1, event: purchase}}
  load_time:
    aggregation: mean
    definition: {version: 1, event: page_loaded}
    window: P7D
    direction: down
    description: how long a page takes
"""
UPGRADED = """\
# Upgraded. Put this in place of the old entries.
metrics:
  load_time:
    environment: production
    description: how long a page takes
    direction: down
    definition:
      version: 2
      statistic: mean
      measure:
        event: page_loaded
        aggregation: mean
        window:
          to: P7D
        missing: zero
"""
VERSION_2 = """
environments: {production: {}}
metrics:
  aov:
    unit: EUR
    definition:
      version: 2
      statistic: ratio
      numerator: {event: purchase, aggregation: sum}
      denominator: {event: purchase, aggregation: count}
  median: {definition: {version: 2, statistic: quantile, q: 0.5, measure: {event: purchase, aggregation: sum}}}
  slow: {definition: {version: 2, statistic: quantile, q: 0.9, unit: event, measure: {event: page_loaded}}}
  back: {definition: {version: 2, statistic: retention, measure: {event: opened}, window: {from: P7D, to: P8D}}}
  checkout: {definition: {version: 2, statistic: funnel, steps: [{event: cart}, {event: purchase}]}}
  revenue: {definition: {version: 2, statistic: mean, measure: {event: purchase, aggregation: sum}}}
"""


def test_metrics__of_version_2__are_listed_in_a_few_words_and_shown_as_a_manifest_has_them(
    run: Run, manifest: Path
) -> None:
    manifest.write_text(VERSION_2, "utf-8")
    assert run("apply", manifest).exit_code == 0
    listed = run("metrics", "list").stdout
    words = ("sum", "funnel of 2 steps", "retention", "0.9 quantile of events", "0.5 quantile of sum")
    assert all(text in listed for text in (*words, "ratio of sum to count", "cart, purchase"))
    shown = run("metrics", "show", "aov")
    assert "unit: EUR" in shown.stdout
    manifest.write_text(shown.stdout, "utf-8")
    assert run("apply", manifest).stdout == "Everything is as declared.\n"
    definition = json.loads(run("metrics", "show", "aov", "--json").stdout)["definition"]
    assert definition["numerator"] == {"event": "purchase", "aggregation": "sum"}
    assert run("metrics", "show", "nothing").exit_code == 2


def test_metrics__changed_definition__is_told_field_by_field(run: Run, manifest: Path) -> None:
    manifest.write_text(VERSION_2, "utf-8")
    run("apply", manifest)
    changed = VERSION_2.replace("aggregation: count", "aggregation: days").replace("from: P7D, ", "")
    manifest.write_text(changed, "utf-8")
    assert run("apply", manifest, "--dry-run").stdout == (
        '~ metric production/aov\n    definition.denominator.aggregation: "count" -> "days"\n'
        '~ metric production/back\n    definition.window.from: "P7D" -> null\n'
        "0 created, 2 changed. Nothing was changed: this was a dry run.\n"
    )


def test_upgrade__metrics_of_version_1__are_declared_in_version_2_as_the_printed_entries(
    run: Run, manifest: Path
) -> None:
    manifest.write_text(VERSION_1, "utf-8")
    run("apply", manifest)
    before = run("metrics", "list", "--json").stdout
    dry = run("metrics", "upgrade", "load_time", "--dry-run")
    assert dry.stdout == UPGRADED.replace("Upgraded", "Would be upgraded")
    assert run("metrics", "list", "--json").stdout == before
    upgraded = run("metrics", "upgrade", "load_time")
    assert (upgraded.exit_code, upgraded.stdout, upgraded.stderr) == (0, UPGRADED, "")
    manifest.write_text(upgraded.stdout, "utf-8")
    assert run("apply", manifest).stdout == "Everything is as declared.\n"
    again = run("metrics", "upgrade", "--all", "--json")
    assert [each["name"] for each in json.loads(again.stdout)["upgraded"]] == ["purchase"]
    nothing = run("metrics", "upgrade", "--all")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (0, "", "Nothing to upgrade.\n")


def test_upgrade__metric_of_an_experiment_that_started__is_refused_or_left_out(declared: Run, manifest: Path) -> None:
    manifest.write_text(VERSION_1, "utf-8")
    declared("apply", manifest)
    before = declared("metrics", "show", "purchase").stdout
    refused = declared("metrics", "upgrade", "purchase")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Error: purchase: Cannot be upgraded: an experiment that uses it has started")
    every = declared("metrics", "upgrade", "--all")
    assert (every.exit_code, every.stdout) == (0, UPGRADED)
    assert every.stderr.startswith("purchase: Cannot be upgraded")
    assert declared("metrics", "show", "purchase").stdout == before


def test_upgrade__neither_a_name_nor_all__is_refused(declared: Run) -> None:
    for arguments in ((), ("purchase", "--all")):
        refused = declared("metrics", "upgrade", *arguments)
        assert refused.exit_code == 2
        assert "Name a metric, or give --all" in refused.stderr


def test_upgrade__event_that_version_2_reserves__names_the_metric_and_changes_nothing(run: Run, manifest: Path) -> None:
    manifest.write_text(VERSION_1.replace("event: purchase", "event: $flag_exposure"), "utf-8")
    run("apply", manifest)
    before = run("metrics", "list", "--json").stdout
    refused = run("metrics", "upgrade", "--all")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "Error: purchase.definition.measure.event: Must not begin with $: those events are the SDKs' own (rule E2).\n",
    )
    assert run("metrics", "list", "--json").stdout == before
