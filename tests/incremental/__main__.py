"""`make incremental-histories`: random histories of 5 to 30 refreshes, each refresh compared with a full one.

    python -m tests.incremental [--histories N] [--first SEED] [--write]

Ends with an error at the first difference, which names the seed.
"""

import argparse
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import track

from experiment_pipeline.warehouse.artifacts import code_version
from tests.incremental.histories import History

PAGE = Path(__file__).parents[2] / "docs" / "incremental-histories.md"
FEWEST, MOST = 5, 30  # refreshes


def main(histories: int, first: int, *, write: bool) -> None:
    """Live through histories, and print or write how their refreshes were computed."""
    counts, began = Counter[str](), time.monotonic()
    for seed in track(range(first, first + histories), "Histories"):
        with tempfile.TemporaryDirectory(prefix="experiment-pipeline-history-") as folder:
            history = History(seed, Path(folder) / "history", FEWEST + seed * 7 % (MOST - FEWEST + 1))
            history.run()
        counts += history.counts
    text = report(counts, histories, first, time.monotonic() - began)
    print(text)
    if write:
        PAGE.write_text(text, "utf-8")


def report(counts: Counter[str], histories: int, first: int, seconds: float) -> str:
    """Return the page."""
    refreshes = sum(number for name, number in counts.items() if name.startswith("aggregates: "))
    rows = [(name, number) for name, number in sorted(counts.items()) if ": " in name]
    return "\n".join(
        [
            "# Histories of incremental refreshes",
            "",
            f"Written by `python -m tests.incremental --histories {histories} --first {first} --write` on",
            f"{datetime.now(UTC):%Y-%m-%d}, code {code_version()}, in {seconds:.0f} s. Each history is an experiment",
            f"in a lake of its own, refreshed {FEWEST} to {MOST} times ([incremental refresh](incremental.md)). After",
            "each refresh, first exposures and aggregates are compared with those of a full one, bit by bit; a",
            "difference ends it.",
            "",
            f"{histories} histories, {refreshes:,} refreshes, {counts['compactions']:,} merges of files between them, "
            f"{counts['removed files']:,} files",
            f"removed by a vacuum. {counts['rows read']:,} events were read, by full refreshes "
            f"{counts['rows read by full refreshes']:,}.",
            "",
            "| how it was computed | refreshes |",
            "| --- | ---: |",
            *(f"| {name} | {number:,} |" for name, number in rows),
            "",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.incremental", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--histories", type=int, default=300)
    parser.add_argument("--first", type=int, default=10_000, help="the first seed")
    parser.add_argument("--write", action="store_true", help="write docs/incremental-histories.md")
    given = parser.parse_args()
    main(given.histories, given.first, write=given.write)
