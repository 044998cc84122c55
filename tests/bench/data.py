"""The bench's data: generated events, the lake that ingestion would have made of them, and landing objects."""

import shutil
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import duckdb

from experiment_pipeline.domain.batches import PlannedBatch
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.lake.delta import EVENTS, Snapshot
from experiment_pipeline.lake.judging import STAGED, sql
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.reading_mark import ReadingMark
from experiment_pipeline.lake.staging import Staging

ENVIRONMENT, FEATURE = "bench", "checkout"
DAYS = 14
STARTED_AT = datetime(2026, 2, 1, tzinfo=UTC)
WINDOW = Window(STARTED_AT, STARTED_AT + timedelta(days=DAYS))
EVENTS_PER_IDENTITY = 23
SEED = 7


@cache
def statement(name: str) -> str:
    """One of the bench's own statements."""
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()


def generate(folder: Path, identities: int) -> str:
    """Write the raw events, one folder of Parquet files a day; a glob of them all."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute(
            statement("generate"),
            {
                "seed": SEED,
                "identities": identities,
                "days": DAYS,
                "first_ms": int(STARTED_AT.timestamp() * 1000),
                "target": str(folder),
            },
        )
    return f"{folder}/*/*.parquet"


def load(lake: Lake, raw: Path) -> None:
    """One batch a day: everything that ingestion does after judging."""
    shutil.rmtree(lake.folder, ignore_errors=True)
    for number in range(1, DAYS + 1):
        with lake.connect() as connection:
            batch = PlannedBatch(number, WINDOW.as_of, ())
            staging = Staging(connection, batch, ReadingMark(lake.root))
            connection.execute(statement("judged"), {"files": f"{raw}/day={number - 1}/*.parquet"})
            connection.execute(sql("stage"), STAGED)
            table = Snapshot.open_or_create(lake.root, EVENTS)
            staging.deduplicate(table)
            table.commit_batch(batch, "bench", staging.write_events(table), staging.summary())
