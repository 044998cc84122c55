"""True lifts beside those that were found, as the demo prints them."""

import io

from rich.console import Console, Group

from experiment_pipeline.cli.truth import truth_lines
from experiment_pipeline.demo.comparison import Compared
from experiment_pipeline.results.comparison_payload import LiftPayload
from experiment_pipeline.stats.verdict import Verdict

FOUND: LiftPayload = {"lift": 0.2, "ci_low": 0.1, "ci_high": 0.3, "chance_to_win": 0.99}


def row(true_lift: float, part: tuple[str, str | None] | None = None, found: LiftPayload | None = FOUND) -> Compared:
    return Compared("checkout", "b", "revenue", part, true_lift, found, Verdict.WINNING)


def printed(*rows: Compared) -> list[str]:
    """The lines, each run of spaces as one."""
    console = Console(width=100, file=io.StringIO(), markup=False, color_system=None)
    with console.capture() as capture:
        console.print(Group(*truth_lines(rows)))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_truth__interval_that_holds_it__is_counted() -> None:
    assert printed(row(0.25)) == [
        "checkout, b true lift found 95 % interval verdict",
        "revenue +25.0 % +20.0 % +10.0 to +30.0 % winning",
        "",
        "1 of 1 intervals hold the true lift; at 95 % each, 1 should.",
    ]


def test_truth__no_effect__is_told_from_a_small_one_and_the_interval_from_one_that_holds_it() -> None:
    assert printed(row(0.0))[1] == "revenue none +20.0 % +10.0 to +30.0 % winning, missed"
    assert printed(row(0.0001))[1].startswith("revenue +0.0 % ")


def test_truth__withheld__is_neither_held_nor_missed() -> None:
    lines = printed(row(0.25, found=None), row(0.25))
    assert lines[1] == "revenue +25.0 % – – winning"
    assert lines[-1].startswith("1 of 1 intervals")


def test_truth__parts__have_tables_of_their_own() -> None:
    lines = printed(row(0.2), row(0.2, ("country", None)), row(0.2, ("country", "none")))
    headings = [line.removesuffix(" true lift found 95 % interval verdict") for line in lines if "true lift" in line]
    assert headings[:3] == ["checkout, b", "checkout, country (none)", 'checkout, country "none"']
