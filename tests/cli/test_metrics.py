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
