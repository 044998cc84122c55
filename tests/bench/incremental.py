"""What does a refresh cost of which the last one has left its state? Incremental refreshes against full ones.

    python -m tests.bench.incremental [--identities N] [--only CASE ...] [--repeats N] [--folder PATH] [--write]

Every side is a process of its own that refreshes again and again from the same state, in turns with the others. The
new events are the last by arrival, in one batch; the lake before them is compacted as a whole. A ratio is
(incremental - floor) / (full - floor), the floor being a refresh with nothing new.
"""

import argparse
import os
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import duckdb
from rich.progress import track

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.batches import PlannedBatch
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.delta import EVENTS, Snapshot
from experiment_pipeline.lake.judging import STAGED, sql
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.reading_mark import ReadingMark
from experiment_pipeline.lake.staging import Staging
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.connection import KeptConnection
from experiment_pipeline.warehouse.duckdb.totals_store import TotalsStore
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from experiment_pipeline.warehouse.refreshes import RefreshMode
from tests.bench.data import DAYS, ENVIRONMENT, EVENTS_PER_IDENTITY, FEATURE, STARTED_AT, WINDOW, generate, statement
from tests.bench.metric_sets import FOUR
from tests.bench.report import replace_section
from tests.bench.turns import REPOSITORY, Side, run_when_told

THREADS = 2
MEMORY_LIMIT = "2GiB"
SECTION = "Incremental refresh"
PARTITION = "bench-1"
LARGE = 100_000_000  # events, from which on the rows have other names and targets
NEW = 0.01  # of the events
LATE = 0.1  # of the new ones, by three to six days
TOUCHED = 0.1  # of the identities: an exposure earlier than their first one comes, so that they are read again
LONGER = 10  # times the window
BEFORE, NOW = Window(STARTED_AT, WINDOW.as_of - NEW * DAYS * timedelta(days=1)), WINDOW
Took = dict[str, tuple[float, float]]  # wall-clock and processor seconds by side


@dataclass(frozen=True, slots=True)
class Case:
    """One lake.

    Attributes:
        longer: times the window of the new events is that of the experiment.
        late: share of the new events that happened days earlier.
        touched: share of the identities whose first exposure comes late.
    """

    name: str
    longer: int = 1
    late: float = 0.0
    touched: float = 0.0

    @property
    def started_at(self) -> datetime:
        """The start of the experiment."""
        return STARTED_AT - (self.longer - 1) * DAYS * timedelta(days=1)

    def scope(self, *, is_new: bool) -> AnalysisScope:
        """The scope of the refresh before the new events, or with them; each window of the old ones is a batch."""
        window = Window(self.started_at, (NOW if is_new else BEFORE).as_of)
        return AnalysisScope(PARTITION, ENVIRONMENT, FEATURE, window, self.longer + is_new)


PROMPT = Case("prompt")
LONG, LATER, MANY = Case("longer", longer=LONGER), Case("late", late=LATE), Case("touched", touched=TOUCHED)
CASES = {case.name: case for case in (PROMPT, LONG, LATER, MANY)}


@dataclass(frozen=True, slots=True)
class Found:
    """The figures of one case.

    Attributes:
        state: bytes of the state that an incremental refresh leaves.
        peak_kib: memory by side.
    """

    took: Took
    state: int
    peak_kib: dict[str, int]


def prepare(case: Case, folder: Path, raw: str) -> None:
    """Make the lake of one case, the old events compacted whole, and the state of the refresh before."""
    file = str(folder / "batch.parquet")
    folder.mkdir(parents=True)
    lake = lake_of(folder)
    bound: dict[str, object] = {"raw": raw, "cut": int(BEFORE.as_of.timestamp() * 1000)}
    for period in range(case.longer):
        load_selected(lake, 1 + period, "old_events", bound | {"period": period, "days": DAYS}, file)
    compact(lake, datetime.now(UTC), whole=True)
    with closing(KeptConnection(lake.connect)) as kept:
        refresh(engine(lake, folder / "before", kept), case.scope(is_new=False), RefreshMode.INCREMENTAL)
    shares = {"late": int(case.late * 1000), "touched": int(case.touched * 1000)}
    first = {"first_ms": int(STARTED_AT.timestamp() * 1000)}
    load_selected(lake, 1 + case.longer, "newest_events", bound | shares | first, file)
    Path(file).unlink()


def load_selected(lake: Lake, number: int, events: str, bound: dict[str, object], file: str) -> None:
    """Commit the raw events that a statement selects as one batch."""
    with duckdb.connect(config={"threads": THREADS}) as connection:
        connection.execute(statement(events), bound | {"target": file})
    load(lake, number, file)


def load(lake: Lake, number: int, file: str) -> None:
    """Commit the rows of a file as one batch: everything that ingestion does after judging."""
    with lake.connect() as connection:
        batch = PlannedBatch(number, WINDOW.as_of, ())
        staging = Staging(connection, batch, ReadingMark(lake.root))
        connection.execute(statement("judged"), {"files": file})
        connection.execute(sql("stage"), STAGED)
        table = Snapshot.open_or_create(lake.root, EVENTS)
        staging.deduplicate(table)
        table.commit_batch(batch, "bench", staging.write_events(table), staging.summary())


def lake_of(folder: Path) -> Lake:
    """The lake below a folder."""
    return Lake(folder / "lake", memory_limit=MEMORY_LIMIT, threads=THREADS, spill_dir=folder / "spill")


def engine(lake: Lake, artifacts: Path, kept: KeptConnection) -> DuckDBWarehouse:
    """An engine with artifacts of its own."""
    return DuckDBWarehouse(kept, lake.event_files, ArtifactStore(artifacts))


def refresh(warehouse: DuckDBWarehouse, scope: AnalysisScope, mode: RefreshMode) -> list[dict[str, object]]:
    """Run one refresh, and return its aggregates."""
    warehouse.write_first_exposures(scope, mode)
    warehouse.exposure_buckets(scope)
    aggregates = warehouse.variant_aggregates(scope, FOUR, mode=mode)
    warehouse.variant_identities(scope)
    return aggregates.rows.to_dicts()


def side(case: Case, folder: Path, what: str) -> None:
    """Be one side: refresh from the same state each time that it is told to."""
    lake, numbers, last = lake_of(folder), count(), [folder]
    mode = RefreshMode.FULL if what == "full" else RefreshMode.INCREMENTAL
    scope = replace(case.scope(is_new=True), data_version=case.longer + (what != "floor"))

    def run() -> list[dict[str, object]]:
        last[0] = folder / f"{what}-{next(numbers)}"
        shutil.copytree(folder / "before", last[0], copy_function=os.link)  # files are replaced, never changed
        with closing(KeptConnection(lake.connect)) as kept:
            return refresh(engine(lake, last[0], kept), scope, mode)

    def describe(rows: list[dict[str, object]]) -> dict[str, object]:
        state = TotalsStore(ArtifactStore(last[0]), PARTITION, 1).generation()
        return {"rows": rows, "state": state.bytes if state else 0}

    run_when_told(run, describe)


def measured(case: Case, folder: Path, raw: str, repeats: int) -> Found:
    """Return what every side of a case took."""
    prepare(case, folder, raw)
    os.sync()
    command = [sys.executable, "-m", "tests.bench.incremental", "--side", case.name, str(folder)]
    sides = {name: Side(name, [*command, name]) for name in ("full", "incremental", "floor")}
    for _ in range(repeats):
        for each in sides.values():
            each.take_turn()
    ended = {name: each.end() for name, each in sides.items()}
    assert ended["full"]["rows"] == ended["incremental"]["rows"], "both are the same"
    took = {
        name: (statistics.median(of["seconds"]), statistics.median(of["processor_seconds"]))
        for name, of in ended.items()
    }
    return Found(took, ended["incremental"]["state"], {name: of["peak_kib"] for name, of in ended.items()})


def ratio(took: Took, clock: int) -> float:
    """Return (incremental - floor) / (full - floor), by the clock (0) or processor time (1)."""
    floor = took["floor"][clock]
    return (took["incremental"][clock] - floor) / max(took["full"][clock] - floor, 1e-9)


def main(identities: int, repeats: int, folder: Path, names: Sequence[str], *, write: bool) -> None:
    """Measure cases, and print the table."""
    raw = generate(folder / "raw", identities)
    found = {}
    for name in track(names, "Lakes"):
        found[name] = measured(CASES[name], folder / name, raw, repeats)
        shutil.rmtree(folder / name)
    shutil.rmtree(folder)
    text = table(identities, repeats, found)
    print(text)
    if write:
        title = SECTION if set(names) == set(CASES) else f"{SECTION} over {millions(identities)} events"
        page = REPOSITORY / "docs" / "benchmarks.md"
        page.write_text(replace_section(page.read_text("utf-8"), title, text))


def millions(identities: int) -> str:
    """Return the number of events as a text."""
    return f"{identities * EVENTS_PER_IDENTITY / 1e6:.3g} million"


def table(identities: int, repeats: int, found: dict[str, Found]) -> str:
    """Return the section of docs/benchmarks.md."""
    only = "" if len(found) == len(CASES) else f" --only {' '.join(found)}"
    arguments = f"--identities {identities} --repeats {repeats}{only} --write"
    lines = [
        f"Written by `python -m tests.bench.incremental {arguments}` on",
        f"{datetime.now(UTC):%Y-%m-%d}: first exposures, buckets and aggregates of four metrics, {THREADS} threads.",
        "New events are the last by arrival, in one batch; the lake before them is compacted as a whole. Ratios are",
        "(incremental - floor) / (full - floor), the floor being a refresh with nothing new. Wall-clock time, and in",
        f"brackets processor time; load at the end {os.getloadavg()[0]:.0f} processes.",
        "",
        "| what | full | incremental | floor | plain ratio | ratio | target |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(row for name, of in found.items() for row in _rows(name, of, found[PROMPT.name], identities)),
    ]
    state = found[PROMPT.name].state / identities / len(FOUR)
    return "\n".join([*lines, "", f"The state has {state:.1f} bytes per identity and measure (at most 40)."])


def _rows(name: str, found: Found, prompt: Found, identities: int) -> Iterator[str]:
    """Yield the rows of one case."""
    events, is_large = f"{millions(identities)} events", identities * EVENTS_PER_IDENTITY >= LARGE
    told = {
        PROMPT.name: (
            f"{events}, 1 % new" if is_large else f"{events} compacted, 1 % new events, incremental / full",
            "at most 0.05" if is_large else "at most 0.125",
        ),
        LONG.name: (
            "ten times the window, same identities, same new events, incremental / incremental", "at most 1.3"
        ),
        LATER.name: ("10 % of the new rows late by days, incremental / full", "at most 0.333"),
        MANY.name: (f"{identities:,} identities, 10 % touched, incremental / full", ""),
    }  # fmt: skip
    what, target = told[name]
    took = found.took
    seconds = {side: f"{of[0]:.3f} s ({of[1]:.3f} s)" for side, of in took.items()}
    plain = [took["incremental"][at] / took["full"][at] for at in (0, 1)]
    clock, processor = (longer(found, prompt, at) if name == LONG.name else ratio(took, at) for at in (0, 1))
    cells = [seconds["full"], seconds["incremental"], seconds["floor"], f"{plain[0]:.3f} ({plain[1]:.3f})"]
    yield f"| {what} | {' | '.join(cells)} | {clock:.3f} ({processor:.3f}) | {target} |"
    if name == PROMPT.name:
        yield f"| the floor: a refresh with nothing new | | | {seconds['floor']} | | | at most 0.05 s |"
        peaks = " | ".join(f"{found.peak_kib[side] / 1024:,.0f} MiB" for side in ("full", "incremental", "floor"))
        yield f"| peak memory at {events} | {peaks} | | | at most 1,536 MiB |"


def longer(found: Found, prompt: Found, clock: int) -> float:
    """Return (incremental - floor) of a longer window per that of the usual one."""
    own, usual = ((of.took["incremental"][clock] - of.took["floor"][clock]) for of in (found, prompt))
    return own / max(usual, 1e-9)


def parsed() -> argparse.Namespace:
    """The command line."""
    folder = REPOSITORY / "bench-data/incremental"
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.incremental", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--identities", type=int, default=250_000, help="23 events each, ten times as many in one case")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="some of the lakes; prompt first")
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the median counts")
    parser.add_argument("--folder", type=Path, default=folder, help="is emptied afterwards")
    parser.add_argument("--write", action="store_true", help="write the section of docs/benchmarks.md")
    parser.add_argument("--side", nargs=3, metavar=("CASE", "FOLDER", "WHAT"), help="be one side")
    return parser.parse_args()


if __name__ == "__main__":
    given = parsed()
    if given.side:
        side(CASES[given.side[0]], Path(given.side[1]), given.side[2])
    else:
        main(given.identities, given.repeats, given.folder, given.only, write=given.write)
