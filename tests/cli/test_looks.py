"""`experiment-pipeline looks`: what was published, and what moved in between (rule R9)."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.looks import Movement
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.decision import decide_experiment
from experiment_pipeline.results.payload import results_payload
from tests.cli.conftest import Run
from tests.results.subjects import experiment, rate

MINUTE = timedelta(minutes=1)


@pytest.fixture
def looked(declared: Run, tmp_path: Path) -> Run:
    """Three looks at the experiment, in the last of which its treatment wins."""
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    found = registry.experiments.find("production", "checkout")
    now = datetime.now(UTC)
    movements = (
        Movement.first(2_000),
        Movement(2, now, new_identities=2_000, late_events=7, restated_identities=3, code_changed=True),
        Movement(3, now, new_identities=2_004, newly_quarantined=4),
    )
    for number, movement in enumerate(movements, start=1):
        arms = {"control": rate(1_000 * number, 100 * number), "b": rate(1_000 * number, 100 * number**2)}
        at = now + number * MINUTE
        run = registry.runs.open(found.id, f"run-{number}", at, MINUTE, data_version=number)
        planned = Design(mde=0.5, baseline=0.1, n_looks=2) if number == 3 else Design()
        computed = compute_results(
            experiment(design=planned),
            dict.fromkeys(arms, 1_000 * number),
            [MetricAggregates(7, dict(arms))],
            Floors(),
            as_of=run.as_of,
        )
        payload = results_payload(computed, movement, decide_experiment(experiment(design=planned), computed))
        registry.computations.publish(Publication(run, Computation.RESULTS, payload, "a", at, MINUTE))
        registry.runs.release_lease(run)
    registry.close()
    return declared


def test_looks__before_anything_was_published__say_so(declared: Run) -> None:
    assert declared("looks", "checkout").stdout == "No results were published yet.\n"
    refused = declared("looks", "checkout", "--diff", "1", "2")
    assert (refused.exit_code, refused.stderr) == (2, "Error: No look 1: nothing was published yet.\n")


def test_looks__of_an_experiment__are_a_table_newest_first(looked: Run) -> None:
    heading, *lines = looked("looks", "checkout").stdout.splitlines()
    assert heading.split() == [
        *("phase", "look", "as", "of", "data", "version", "identities"),
        *("new", "late", "restated", "quarantined", "decision", "verdicts"),
    ]
    assert [line.split()[:2] for line in lines] == [["1", "3"], ["1", "2"], ["1", "1"]]
    assert lines[0].split()[-8:] == ["6,000", "2,004", "0", "0", "4", "ship", "bought:", "winning"]
    assert lines[0].split()[2:4] == ["(planned", "2)"]
    assert "(planned" not in lines[1]
    assert re.fullmatch(r"\d\d:\d\d:\d\d", lines[1].split()[3]), "a look a second has a time of its own"
    assert "2 (other code than before)" in lines[1]
    assert "bought: inconclusive" in lines[2]
    page = looked("looks", "checkout", "--page-size", "1", "--page", "2").stdout
    assert "2 to 2 of 3 looks" in page


def test_looks__as_json__are_what_the_api_serves(looked: Run) -> None:
    shown = json.loads(looked("looks", "checkout", "--json").stdout)
    assert [look["number"] for look in shown] == [3, 2, 1]
    assert shown[1]["moved"]["restated"]["restated_identities"] == 3


def test_looks__diff_of_two__tells_both_sides_in_words(looked: Run) -> None:
    for numbers in (("1", "3"), ("3", "1")):
        lines = looked("looks", "checkout", "--diff", *numbers).stdout.splitlines()
        assert lines[0].startswith("Earlier: look 1 as of ")
        assert lines[1].startswith("Later: look 3 as of ")
        assert lines[1].endswith("data version 3, 6,000 identities")
        assert lines[2:] == [
            "Moved: 4,004 new identities, 7 late events, 3 restated identities, 4 newly quarantined identities, "
            "0 removed events",
            "Code: the same",
            "bought",
            "  control: n 1,000 -> 3,000, sum 100 -> 300",
            "  b: n 1,000 -> 3,000, sum 100 -> 900",
            "  b against control: effect +0 -> +0.2, lift +0.00% -> +200.00%, verdict inconclusive -> winning",
        ]
    diff = json.loads(looked("looks", "checkout", "--diff", "2", "3", "--json").stdout)
    assert diff["moved"]["newly_quarantined"] == 4


def test_looks__diff_that_cannot_be__is_refused(looked: Run) -> None:
    same = looked("looks", "checkout", "--diff", "2", "2")
    assert (same.exit_code, same.stderr) == (2, "Error: --diff: Name two different looks, such as --diff 3 4.\n")
    beyond = looked("looks", "checkout", "--diff", "2", "9")
    assert (beyond.exit_code, beyond.stderr) == (2, "Error: No look 9: there are 1 to 3.\n")
