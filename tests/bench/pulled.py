"""How many rows a second come from PostgreSQL, and from Parquet files, into the lake, and with how much memory?

    python -m tests.bench.pulled [rows] [--write]

Each kind is pulled by a process of its own: land reads, maps and writes the rows; ingest puts them into the lake.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from experiment_pipeline.domain.fields import adapter
from experiment_pipeline.domain.sources import ConnectionDraft, SourceDraft
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.sources.databases import open_database
from experiment_pipeline.sources.pull import Pull, open_ranges
from tests.bench.report import replace_section
from tests.bench.turns import REPOSITORY, peak_kib
from tests.postgres_server import postgres_server
from tests.sources.postgres_tables import run

ROWS = 2_000_000
NOTE = """
Memory does not grow with the rows, of neither: an ingestion makes batches of some 800,000 rows."""
MOST_FILES = 10_000_000
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECTION = "Pulls of sources"
QUERY = "select id, user_id, placed_at, amount, loaded_at from orders"
AS = {"event": "purchased", "identifier": "user_id", "timestamp": "placed_at", "value": "amount", "event_id": "id"}
COLUMNS = (
    "n as id",
    "'user-' || n % 1000000 as user_id",
    "timestamptz '2026-02-01 00:00Z' + n % 2000000 * interval '1 second' as placed_at",
    "(n % 10000) / 100.0 as amount",
    "timestamptz '2026-02-01 00:00Z' + n * interval '1 millisecond' as loaded_at",
)


@dataclass(frozen=True, slots=True)
class Pulled:
    """Figures of one pull.

    Attributes:
        kind: of the source.
        rows: that were pulled.
        land, land_processor: seconds until all had landed.
        ingest, ingest_processor: seconds until they were in the lake.
        land_peak, ingest_peak: MiB of memory.
    """

    kind: str
    rows: int
    land: float
    land_processor: float
    ingest: float
    ingest_processor: float
    land_peak: int
    ingest_peak: int

    def cells(self) -> str:
        """One line of the table."""
        landed, ingested = f"{self.land:,.1f} s ({self.land_processor:,.1f} s)", self.ingest
        cells = (
            self.kind,
            f"{self.rows:,}",
            landed,
            f"{self.rows / self.land:,.0f}",
            f"{self.land_peak:,} MiB",
            f"{ingested:,.1f} s ({self.ingest_processor:,.1f} s)",
            f"{self.ingest_peak:,} MiB",
            f"{self.rows / (self.land + ingested):,.0f}",
        )
        return f"| {' | '.join(cells)} |"


def pull(kind: str, root: Path, location: str) -> Pulled:
    """Pull and ingest, in the measured process."""
    registry = Registry.open(f"sqlite:///{root / 'registry.sqlite'}")
    registry.environments.create("bench", "Bench", actor="bench", now=NOW)
    registry.connections.declare("shop", ConnectionDraft(url_env="SHOP_URL"), actor="bench", now=NOW)
    place = {"files": location}
    if kind == "PostgreSQL":
        place = {"connection": "shop", "query": QUERY, "cursor": {"column": "loaded_at"}}  # type: ignore[dict-item]
    draft = adapter(SourceDraft).validate_python({"as": AS} | place)
    source = registry.sources.declare("orders", "bench", draft, actor="bench", now=NOW)
    ranges, landing = open_ranges(source, registry.connections.of(source), {"SHOP_URL": location}), root / "landing"
    landed = Pull(source, ranges, registry.source_ranges, landing, lambda: NOW, lambda _, __: None)
    land = _measured(landed.run)
    into_lake = _measured(lambda: ingest(Lake(root / "lake", threads=2), registry.batches, landing, NOW))
    rows = sum(each.rows or 0 for each in registry.source_ranges.list("orders"))
    return Pulled(kind, rows, *land[:2], *into_lake[:2], land[2], into_lake[2])


def _measured(work: Callable[[], object]) -> tuple[float, float, int]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on is that of this work
    started, processor_started = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - processor_started, peak_kib() // 1024


def measure(rows: int) -> list[Pulled]:
    """Make a table, and files of the same rows where they are few enough to do it twice, and pull both."""
    table = f"create table orders as select {', '.join(COLUMNS)} from generate_series(1, {rows}) n"  # noqa: S608
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder:
        run(server.url, table, "analyze orders")
        sources = {"PostgreSQL": server.url}
        if rows <= MOST_FILES:
            exported = Path(folder) / "exports"
            exported.mkdir()
            _export(server.url, exported)
            sources["Parquet"] = str(exported)
        return [_in_a_process(kind, Path(folder) / kind, location) for kind, location in sources.items()]


def _export(url: str, folder: Path) -> None:
    with closing(open_database(url, "shop").rows(QUERY)) as rows:
        for number, batch in enumerate(rows.batches()):
            batch.write_parquet(folder / f"{number:05}.parquet")


def _in_a_process(kind: str, root: Path, location: str) -> Pulled:
    root.mkdir()
    command = [sys.executable, "-m", "tests.bench.pulled", "--process", kind, str(root), location]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    return Pulled(**json.loads(done.stdout))


def section(pulled: list[Pulled]) -> str:
    """Return the section of docs/benchmarks.md."""
    lines = "\n".join(each.cells() for each in pulled)
    return f"""Written by `python -m tests.bench.pulled ROWS ... --write`: orders of five columns, pulled by one
process, which ingests them afterwards. Wall-clock time, and in brackets processor time of it; PostgreSQL ran on the
same machine, whose load at the end was {os.getloadavg()[0]:.0f} processes ready to run.

| from | rows | landed in | rows a second | peak memory | ingested in | peak memory | rows a second into the lake |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{lines}
{NOTE}
"""


def main(arguments: list[str]) -> None:
    """Measure, print, and write where it is asked for."""
    if arguments[:1] == ["--process"]:
        kind, root, location = arguments[1:]
        print(json.dumps(asdict(pull(kind, Path(root), location))))
        return
    numbers = [int(each) for each in arguments if each != "--write"]
    text = section([each for rows in numbers or [ROWS] for each in measure(rows)])
    print(text)
    if "--write" in arguments:
        page = REPOSITORY / "docs" / "benchmarks.md"
        page.write_text(replace_section(page.read_text("utf-8"), SECTION, text))


if __name__ == "__main__":
    main(sys.argv[1:])
