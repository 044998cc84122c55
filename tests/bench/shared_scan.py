"""What do experiments that share metric events cost in one batched refresh, and what one after the other?

    python -m tests.bench.shared_scan [--identities N] [--share S] [--repeats N] [--folder PATH] [--write]

Each side is a process of its own, in turns with the others: a first refresh of all experiments in one batch, the same
by single refreshes, each with a connection of its own (the start of a run's process is not counted), and a batch with
nothing new, the floor. All results are equal. The lake stays in its folder, for the next time.
"""

import argparse
import os
import shutil
import statistics
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import duckdb

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.warehouse.base import WantedAggregates
from experiment_pipeline.warehouse.duckdb.connection import KeptConnection
from experiment_pipeline.warehouse.refreshes import RefreshMode
from tests.bench.data import DAYS, ENVIRONMENT, SEED, STARTED_AT, WINDOW, statement
from tests.bench.incremental import THREADS, engine, lake_of, load, refresh
from tests.bench.metric_sets import FOUR
from tests.bench.report import replace_section
from tests.bench.turns import REPOSITORY, Side, run_when_told

EXPERIMENTS = 50
SECTION = "Experiments that share a scan"
ROW = f"{EXPERIMENTS} experiments that share metric events, one batched refresh / {EXPERIMENTS} single ones"
MODE = RefreshMode.INCREMENTAL
SCOPES = [AnalysisScope(f"flag-{number}", ENVIRONMENT, f"flag-{number}", WINDOW, 1) for number in range(EXPERIMENTS)]


def prepare(folder: Path, identities: int, share: float) -> None:
    """Make the lake, and the state of a refresh before, unless the folder holds them."""
    lake = lake_of(folder)
    if lake.is_empty:
        folder.mkdir(parents=True, exist_ok=True)
        raw = folder / "raw.parquet"
        with duckdb.connect(config={"threads": THREADS}) as connection:
            bound = {"seed": SEED, "identities": identities, "days": DAYS, "experiments": EXPERIMENTS}
            bound |= {"share": int(share * 1000), "first_ms": int(STARTED_AT.timestamp() * 1000)}
            connection.execute(statement("shared_events"), {**bound, "target": str(raw)})
        load(lake, 1, str(raw))
        raw.unlink()
        compact(lake, datetime.now(UTC), whole=True)
    if not (folder / "before").exists():
        batched(folder, folder / "before")


def batched(folder: Path, artifacts: Path) -> list[object]:
    """Refresh all experiments in one batch, and return their aggregates."""
    with closing(KeptConnection(lake_of(folder).connect)) as kept:
        warehouse = engine(lake_of(folder), artifacts, kept)
        for scope in SCOPES:
            warehouse.write_first_exposures(scope, MODE)
            warehouse.exposure_buckets(scope)
        found: list[object] = []
        with warehouse.sharing([WantedAggregates(scope, FOUR, MODE) for scope in SCOPES]) as sharing:
            for scope in SCOPES:
                found.append(sharing.variant_aggregates(scope, FOUR, mode=MODE).rows.to_dicts())
                sharing.variant_identities(scope)
        return found


def single(folder: Path, artifacts: Path) -> list[object]:
    """Refresh one experiment after the other, and return their aggregates."""
    found: list[object] = []
    for scope in SCOPES:
        with closing(KeptConnection(lake_of(folder).connect)) as kept:
            found.append(refresh(engine(lake_of(folder), artifacts, kept), scope, MODE))
    return found


def side(folder: Path, what: str) -> None:
    """Be one side: refresh all experiments each time that it is told to."""
    numbers = count()

    def run() -> list[object]:
        artifacts = folder / f"{what}-{next(numbers)}"
        if what == "floor":
            shutil.copytree(folder / "before", artifacts, copy_function=os.link)  # files are replaced, never changed
        found = (single if what == "single" else batched)(folder, artifacts)
        shutil.rmtree(artifacts)
        return found

    run_when_told(run, lambda rows: {"rows": rows})


def main(identities: int, share: float, repeats: int, folder: Path, *, write: bool) -> None:
    """Measure all sides, and print the table."""
    prepare(folder, identities, share)
    command = [sys.executable, "-m", "tests.bench.shared_scan", "--folder", str(folder), "--side"]
    sides = {name: Side(name, [*command, name]) for name in ("single", "batched", "floor")}
    for _ in range(repeats):
        for each in sides.values():
            each.take_turn()
    ended = {name: each.end() for name, each in sides.items()}
    assert ended["single"]["rows"] == ended["batched"]["rows"], "both are the same"
    took = {
        name: [statistics.median(of[clock]) for clock in ("seconds", "processor_seconds")] for name, of in ended.items()
    }
    peaks = {name: of["peak_kib"] // 1024 for name, of in ended.items()}
    text = "\n".join(table(identities, share, repeats, took, peaks))
    print(text)
    if write:
        page = REPOSITORY / "docs" / "benchmarks.md"
        page.write_text(replace_section(page.read_text("utf-8"), SECTION, text))


def table(
    identities: int, share: float, repeats: int, took: dict[str, list[float]], peaks: dict[str, int]
) -> Sequence[str]:
    """Return the lines of the section of docs/benchmarks.md."""
    one, all_of, floor = (took[name] for name in ("single", "batched", "floor"))
    plain = [mine / theirs for mine, theirs in zip(all_of, one, strict=True)]
    ratio = [(mine - least) / max(theirs - least, 1e-9) for mine, theirs, least in zip(all_of, one, floor, strict=True)]
    cells = [f"{seconds:.2f} s ({processor:.2f} s)" for seconds, processor in (one, all_of, floor)]
    cells += [f"{clock:.3f} ({processor:.3f})" for clock, processor in (plain, ratio)]
    return [
        f"Written by `python -m tests.bench.shared_scan --identities {identities} --share {share} "
        f"--repeats {repeats} --write` on",
        f"{datetime.now(UTC):%Y-%m-%d}: first exposures, buckets and aggregates of four metrics, {THREADS} threads. "
        f"Each of {identities:,}",
        f"identities has twenty metric events of five kinds, and is in {share:.0%} of the experiments. Ratios are",
        "(batched - floor) / (single - floor), the floor being a batch with nothing new. Wall-clock time, and in",
        f"brackets processor time; load at the end {os.getloadavg()[0]:.0f} processes. Results are equal.",
        "",
        "| what | single | batched | floor | plain ratio | ratio | target |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| {ROW} | {' | '.join(cells)} | at most 0.2 |",
        f"| peak memory | {' | '.join(f'{peaks[name]:,} MiB' for name in took)} | | | at most 1,536 MiB |",
    ]


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.shared_scan", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--identities", type=int, default=250_000, help="twenty metric events each")
    parser.add_argument("--share", type=float, default=0.1, help="of the experiments that an identity is in")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the median counts")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "bench-data/shared", help="its lake is kept")
    parser.add_argument("--write", action="store_true", help="write the section of docs/benchmarks.md")
    parser.add_argument("--side", help="be one side")
    return parser.parse_args()


if __name__ == "__main__":
    given = parsed()
    if given.side:
        side(given.folder, given.side)
    else:
        main(given.identities, given.share, given.repeats, given.folder, write=given.write)
