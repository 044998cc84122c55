"""`experiment-pipeline apply`."""

import json
from pathlib import Path

from tests.cli.conftest import MANIFEST, Run


def test_apply__twice__shows_what_it_makes_and_then_nothing(run: Run, manifest: Path) -> None:
    first = run("apply", manifest)
    assert first.exit_code == 0
    assert "+ experiment production/checkout" in first.stdout
    assert "3 created, 0 changed." in first.stdout
    assert run("apply", manifest).stdout == "Everything is as declared.\n"


def test_apply__dry_run__changes_nothing(run: Run, manifest: Path) -> None:
    for _ in range(2):
        shown = run("apply", manifest, "--dry-run")
        assert "3 created, 0 changed. Nothing was changed: this was a dry run." in shown.stdout


def test_apply__json__is_for_programs(declared: Run, manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("name: Checkout", "name: '[red]'"), "utf-8")
    assert json.loads(declared("apply", manifest, "--json").stdout) == [
        {
            "action": "change",
            "subject": "experiment production/checkout",
            "fields": {"name": {"before": "Checkout", "after": "[red]"}},
        }
    ]


def test_apply__broken_rule__is_one_line_and_exit_code_2(declared: Run, manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("percentage_allocation: 50", "percentage_allocation: 101"), "utf-8")
    refused = declared("apply", manifest)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert refused.stderr == (
        "Error: experiments.checkout.variants.0.percentage_allocation: Must be a number from 0 to 100.\n"
    )


def test_apply__file_that_is_no_text__is_refused(run: Run, manifest: Path) -> None:
    manifest.write_bytes(b"\xff\xfe")
    assert run("apply", manifest).exit_code == 2


def test_apply__unreadable_yaml__is_one_line_exit_code_2_and_nothing_changed(declared: Run, manifest: Path) -> None:
    before = declared("experiments", "list", "--json").stdout
    manifest.write_text(MANIFEST.replace("Checkout", "Another name") + "  - {broken: [", "utf-8")
    refused = declared("apply", manifest)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Error: line ")
    assert refused.stderr.count("\n") == 1
    assert declared("experiments", "list", "--json").stdout == before
