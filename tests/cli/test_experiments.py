"""Experiments on the command line."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from experiment_pipeline.cli.main import main
from tests.cli.conftest import Run

EXPERIMENT = "checkout"


def test_experiments__listed_and_shown__as_table_and_json(declared: Run) -> None:
    listed = declared("experiments", "list", "--status", "running", "--search", "CHECK")
    assert "checkout_button" in listed.stdout
    assert json.loads(declared("experiments", "list", "--status", "paused", "--json").stdout) == []
    shown = declared("experiments", "show", EXPERIMENT).stdout
    assert "larger: 50 %, treatment" in shown
    assert "alpha 0.05, power 0.8, n_looks 1" in " ".join(shown.split())
    (listed_json,) = json.loads(declared("experiments", "list", "--json").stdout)
    assert json.loads(declared("experiments", "show", EXPERIMENT, "--json").stdout) == listed_json
    assert listed_json["status"] == "running"


def test_experiments__through_a_life__say_where_they_are(declared: Run) -> None:
    refused = declared("experiments", "delete", EXPERIMENT)
    assert (refused.exit_code, refused.stderr) == (
        2, "Error: Cannot delete a running experiment. Pause or complete it first.\n",
    )  # fmt: skip
    for step, status in (("pause", "paused"), ("start", "running"), ("complete", "completed")):
        assert declared("experiments", step, EXPERIMENT).stdout.splitlines()[0] == f"checkout is {status}."
    refused = declared("experiments", "start", EXPERIMENT)
    assert (refused.exit_code, refused.stderr) == (
        2,
        "Error: The experiment is completed, for good: to go on, declare another one under another key.\n",
    )
    assert declared("experiments", "delete", EXPERIMENT, "--yes").stdout == "Deleted checkout.\n"
    assert declared("experiments", "show", EXPERIMENT).exit_code == 2


def test_experiments__of_every_environment__are_listed_with_it_and_nearly_named_ones_suggested(declared: Run) -> None:
    declared("environments", "create", "staging")
    assert "production" in declared("experiments", "list").stdout
    assert json.loads(declared("experiments", "list", "--json").stdout)[0]["environment"] == "production"
    assert declared("experiments", "list", "-e", "staging", "--json").stdout == "[]\n"
    missed = "Error: No experiment 'chekout'. Did you mean 'checkout'?\n"
    assert declared("results", "chekout").stderr == missed
    assert declared("metrics", "list", "-e", "stagin").stderr.endswith("Did you mean 'staging'?\n")


def test_delete__without_a_terminal__needs_yes_and_deletes_nothing(declared: Run) -> None:
    declared("experiments", "pause", EXPERIMENT)
    for command in (["experiments", "delete", EXPERIMENT], ["metrics", "delete", "other"]):
        if command[0] == "metrics":
            manifest = "metrics: {other: {aggregation: count, definition: {version: 1, event: view}}}"
            assert CliRunner().invoke(main, ["apply", "-"], input=manifest).exit_code == 0
        refused = declared(*command)
        assert (refused.exit_code, refused.stderr) == (
            2,
            "Error: --yes: Must be given where there is no terminal to ask in. Nothing was deleted.\n",
        )
    assert declared("experiments", "show", EXPERIMENT).exit_code == 0


@pytest.mark.slow  # starts a process
@pytest.mark.parametrize(("answer", "code", "is_left"), [("n", 2, True), ("y", 0, False)])
def test_delete__in_a_terminal__asks(declared: Run, answer: str, code: int, is_left: bool) -> None:
    declared("experiments", "pause", EXPERIMENT)
    terminal, inside = pty.openpty()
    command = [sys.executable, "-m", "experiment_pipeline", "experiments", "delete", EXPERIMENT]
    with subprocess.Popen(command, stdin=inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        os.write(terminal, f"{answer}\n".encode())
        output, errors = process.communicate(timeout=60)
    os.close(terminal)
    os.close(inside)
    assert process.returncode == code
    assert errors.startswith("Delete experiment Checkout (checkout, paused)? [y/N]: ")
    assert ("Nothing was deleted." in errors) is is_left
    assert output == ("" if is_left else "Deleted checkout.\n")
    assert (declared("experiments", "show", EXPERIMENT).exit_code == 0) is is_left


def test_restart__begins_the_next_phase_with_other_allocations__x9(declared: Run) -> None:
    refused = declared("experiments", "restart", "checkout")
    assert refused.exit_code == 2
    assert refused.stderr.endswith("Must be given where there is no terminal to ask in. Nothing was changed.\n")
    told = declared("experiments", "restart", "checkout", "--allocation", "larger=20", "--yes")
    said, after = told.stdout.splitlines()
    assert said == "checkout is in phase 2, and running. Phase 1 has ended."
    assert re.fullmatch(
        r"Its last results are final from \S+Z on: a running daemon computes them, or "
        r"experiment-pipeline refresh checkout --phase 1",
        after,
    )
    shown = json.loads(declared("experiments", "show", "checkout", "--json").stdout)
    assert (shown["phase"], [arm["percentage_allocation"] for arm in shown["variants"]]) == (2, [80, 20])
    lines = declared("experiments", "show", "checkout").stdout
    assert "ended phase" in lines
    assert "control 50 %, larger 50 %" in lines
    for command in ("results", "looks"):
        assert declared(command, "checkout", "--phase", "1").exit_code == 0
        missing = declared(command, "checkout", "--phase", "3")
        assert "'checkout' has no phase 3: there are phases 1 to 2." in missing.stderr


def test_restart__dry_run__shows_the_next_phase_and_changes_nothing__x9(declared: Run) -> None:
    told = declared("experiments", "restart", "checkout", "--allocation", "larger=20", "--dry-run")
    assert told.stdout == (
        "Phase 1 of checkout would end, and phase 2 begin, with control 80 %, larger 20 %. "
        "Nothing was changed: this was a dry run.\n"
    ), told.output
    assert json.loads(declared("experiments", "show", "checkout", "--json").stdout)["phase"] == 1
    assert declared("experiments", "restart", "checkout", "--allocation", "x=1", "--dry-run").exit_code == 2


def test_complete__says_when_the_results_are_final_and_what_computes_them__r6(declared: Run) -> None:
    said, after = declared("experiments", "complete", "checkout").stdout.splitlines()
    assert said == "checkout is completed."
    assert after.endswith(" on: a running daemon computes them, or experiment-pipeline refresh checkout")


@pytest.mark.parametrize(
    ("allocation", "told"),
    [
        ("smaller=20", "Error: --allocation: Give VARIANT=PERCENT of larger, got 'smaller=20'."),
        ("larger", "Error: --allocation: Give VARIANT=PERCENT of larger, got 'larger'."),
        ("larger=many", "Error: --allocation: Must be a number, got 'many'."),
        ("larger=120", "Error: variants.0.percentage_allocation: "),
    ],
)
def test_restart__with_an_allocation_that_is_none__says_what_is_allowed(
    declared: Run, allocation: str, told: str
) -> None:
    refused = declared("experiments", "restart", "checkout", "--allocation", allocation)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(told)
