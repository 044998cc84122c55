"""The peer: the fixed results query on the ClickHouse engine in process (chdb). Runs in an environment of its own.

python -m tests.bench.peer <raw parquet glob> <started_at> <as_of> <threads>     runs once for every line sent to it
"""

import json
import sys
import tempfile
from pathlib import Path

import chdb
from chdb import session

from tests.bench.turns import run_when_told

SQL = Path(__file__).parent / "sql"


def main(raw: str, started_at: str, as_of: str, threads: int) -> None:
    """Load the events, merge them as a settled table would be, and query them when told."""
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

        def run() -> str:
            return str(peer.query(query, "JSONCompactEachRow", params={"started_at": started_at, "as_of": as_of}))

        version = f"chdb {chdb.__version__}, ClickHouse {chdb.engine_version}"
        run_when_told(run, lambda rows: {"rows": [json.loads(row) for row in rows.splitlines()], "version": version})


if __name__ == "__main__":
    glob, since, until = sys.argv[1:4]
    main(glob, since, until, int(sys.argv[4]))
