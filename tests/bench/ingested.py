"""Ingestion in a process of its own: gzip JSON lines to a committed lake version.

python -m tests.bench.ingested <folder> <raw parquet glob> <rows> <objects>     prints one JSON object
"""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from tests.bench.data import ENVIRONMENT, statement
from tests.bench.turns import peak_kib
from tests.lake.ledger import MemoryLedger


def main(folder: Path, raw: str, rows: int, objects: int) -> None:
    """Write landing objects, ingest them, print seconds and peak memory."""
    landing = folder / "landing" / "events" / f"env_key={ENVIRONMENT}" / "2026" / "02" / "15" / "00"
    landing.mkdir(parents=True)
    with duckdb.connect() as connection:
        for number in range(objects):
            target = str(landing / f"20260215T000000Z-{number}.jsonl.gz")
            parameters = {"files": raw, "objects": objects, "object": number, "rows": rows // objects, "target": target}
            connection.execute(statement("json_lines"), parameters)
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on is ingestion's
    ledger = MemoryLedger(known_environments={ENVIRONMENT})
    started, processor_started = time.perf_counter(), time.process_time()
    report = ingest(Lake(folder / "lake", threads=2), ledger, folder / "landing", datetime.now(UTC))
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - processor_started
    print(
        json.dumps(
            {
                "seconds": [seconds],
                "processor_seconds": [processor_seconds],
                "peak_kib": peak_kib(),
                "events": report.accepted + report.duplicates + sum(report.rejected.values()),
                "rows": [],
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
