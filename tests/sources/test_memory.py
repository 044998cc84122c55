"""Memory of a pull is bounded: it does not grow with the rows of a table (rule D1)."""

import subprocess
import sys

import pytest

from tests.sources.postgres_tables import new_database, run

READ = """
import os, sys
from contextlib import closing
from experiment_pipeline.sources.databases import open_database
with closing(open_database(sys.argv[1], "shop").rows("select * from orders")) as rows:
    next(rows.batches())
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
read = 0
with closing(open_database(sys.argv[1], "shop").rows(f"select * from orders limit {sys.argv[2]}")) as rows:
    for batch in rows.batches():
        read += batch.height
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(read, int(status["VmHWM"].split()[0]) // 1024)
"""
MOST = 64  # MiB that twenty times the rows may take more: two batches


@pytest.fixture(scope="module")
def url(postgres_url: str) -> str:
    url = new_database(postgres_url)
    columns = (
        "md5(n::text) as user_id, timestamptz '2026-11-01' + n * interval '1 second' as created_at, n / 7.0 as amount"
    )
    run(url, f"create table orders as select n, {columns} from generate_series(1, 5000000) n")
    return url


def read(url: str, rows: int) -> tuple[int, int]:
    """Read rows in a process of its own, and return how many there were and its peak of memory in MiB."""
    done = subprocess.run([sys.executable, "-c", READ, url, str(rows)], capture_output=True, text=True, check=True)
    found, peak = done.stdout.split()
    return int(found), int(peak)


@pytest.mark.slow
def test_postgres__five_million_rows__take_no_more_memory_than_a_quarter_of_a_million(url: str) -> None:
    few, many = read(url, 250_000), read(url, 5_000_000)
    print(f"peak: {few[1]} MiB, {many[1]} MiB")
    assert (few[0], many[0]) == (250_000, 5_000_000)
    assert many[1] < few[1] + MOST
