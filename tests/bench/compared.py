"""Is analysis slower than it was? The same metrics over the same files, by this checkout and by another one, in turns.

    python -m tests.bench.compared <checkout> [--identities N] [--repeats N] [--folder PATH] [--set NAME]

The other checkout has a virtual environment of its own in `.venv`. Prints the median of the ratios of each turn, and
the ratio of the shortest times, of wall-clock time and of processor time, and the peak memory of both.
"""

import argparse
import shutil
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.lake import Lake
from tests.bench import data
from tests.bench.turns import REPOSITORY, Side

THREADS = 2


def main(checkout: Path, identities: int, repeats: int, folder: Path, what: str) -> None:
    """Make the lake unless the folder holds one, measure, print."""
    if not (folder / "lake").exists():
        lake = Lake(folder / "lake", threads=THREADS)
        data.generate(folder / "raw", identities)
        data.load(lake, folder / "raw")
        compact(lake, datetime.now(UTC), whole=True)
        shutil.rmtree(folder / "raw")
    arguments = ["-m", "tests.bench.ours", str(folder), str(THREADS), what]
    other = Side("the other", [str(checkout / ".venv/bin/python"), *arguments], cwd=checkout)
    this = Side("this one", [sys.executable, *arguments])
    for _ in range(repeats + 1):  # the first turn fills the caches
        for side in (other, this):
            side.take_turn()
    before, after = other.end(), this.end()
    for clock in ("seconds", "processor_seconds"):
        print(f"{clock:>17}: {_ratios(before[clock][1:], after[clock][1:])}")
    print(f"{'peak memory':>17}: {before['peak_kib'] // 1024:,} MiB before, {after['peak_kib'] // 1024:,} MiB now")


def _ratios(before: Any, after: Any) -> str:
    ratios = [mine / theirs for mine, theirs in zip(after, before, strict=True)]
    return (
        f"{statistics.median(before):.3f} s before, {statistics.median(after):.3f} s now; median of ratios "
        f"{statistics.median(ratios):.3f}, of the shortest {min(after) / min(before):.3f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--identities", type=int, default=1_000_000, help="23 events each")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "bench-data", help="its lake is kept")
    parser.add_argument("--set", default="ours", help="of metrics: see tests/bench/metric_sets.py")
    given = parser.parse_args()
    main(given.checkout, given.identities, given.repeats, given.folder, given.set)
