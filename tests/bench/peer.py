"""The peer: the fixed results query on the ClickHouse engine in process (chdb). Runs in an environment of its own.

python peer.py <raw parquet glob> <started_at> <as_of> <repeats> <threads>     prints one JSON object
"""

import json
import re
import sys
import tempfile
import time
from pathlib import Path

import chdb
from chdb import session

SQL = Path(__file__).parent / "sql"


def peak_kib() -> int:
    """Peak resident memory of this process."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1))  # type: ignore[union-attr]


def main(raw: str, started_at: str, as_of: str, repeats: int, threads: int) -> None:
    """Load the events, merge them as a settled table would be, and time the query."""
    with tempfile.TemporaryDirectory() as folder:
        peer = session.Session(folder)
        peer.query(f"SET max_threads = {threads}")
        peer.query((SQL / "peer_table.sql").read_text())
        peer.query(
            "INSERT INTO events SELECT 'bench', event, ifNull(feature_name, ''), identifier, value, "
            "fromUnixTimestamp64Milli(timestamp_ms, 'UTC') FROM file({raw:String}, Parquet)",
            params={"raw": raw},
        )
        peer.query("OPTIMIZE TABLE events FINAL")
        Path("/proc/self/clear_refs").write_text("5")  # the peak from here on is the query's
        query = (SQL / "peer_results.sql").read_text()
        seconds, processor_seconds = [], []
        for _ in range(repeats):
            started, processor_started = time.perf_counter(), time.process_time()
            rows = str(peer.query(query, "JSONCompactEachRow", params={"started_at": started_at, "as_of": as_of}))
            seconds.append(time.perf_counter() - started)
            processor_seconds.append(time.process_time() - processor_started)
        results = [json.loads(line) for line in rows.splitlines()]
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "processor_seconds": processor_seconds,
                    "peak_kib": peak_kib(),
                    "version": f"chdb {chdb.__version__}, ClickHouse {chdb.engine_version}",
                    "rows": results,
                }
            )
        )


if __name__ == "__main__":
    glob, since, until = sys.argv[1:4]
    main(glob, since, until, int(sys.argv[4]), int(sys.argv[5]))
