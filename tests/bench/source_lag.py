"""How long after a file is written are its events in the lake, with `every: PT1M`? A real daemon, a temporary folder.

    python -m tests.bench.source_lag [files]

Files are written at different moments of the minute. Most of the lag is the wait for the next one: half a minute on
average.
"""

import os
import statistics
import sys
import time
from datetime import UTC, datetime

from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import PREFIX
from tests.bench.refreshed import Installation, installation, wait_until

FILES = 6
STEP_SECONDS = 17  # after the file before is in the lake: another moment of the minute each time
MANIFEST = """
environments: {{prod: {{}}}}
sources:
  orders:
    files: {folder}/*.csv
    every: PT1M
    as: {{event: purchased, identifier: user, timestamp: at, value: amount, event_id: number}}
"""


def main(files: int) -> None:
    """Measure, and print the lags."""
    os.environ[f"{PREFIX}LANDING_OBJECT_AGE"] = "0"
    with installation() as installed:
        folder = installed.settings.data_dir / "orders"
        folder.mkdir()
        manifest = parse_manifest(MANIFEST.format(folder=folder))
        installed.registry.manifests.apply(manifest, actor="bench", now=datetime.now(UTC))
        with installed.daemon():
            lags = [_lag(installed, number) for number in range(files)]
    print(f"{files} files, from written to in the lake: {', '.join(f'{lag:.0f} s' for lag in lags)}")
    print(f"median {statistics.median(lags):.0f} s, longest {max(lags):.0f} s; load {os.getloadavg()[0]:.0f} processes")


def _lag(installed: Installation, number: int) -> float:
    """Write a file, and return the seconds until its event is in the lake."""
    time.sleep(STEP_SECONDS)
    before, path = installed.registry.batches.lake_version(), installed.settings.data_dir / f"orders/{number}.csv"
    path.write_text(f"user,at,amount,number\n1,{datetime.now(UTC).isoformat()},2.5,{number}\n", "utf-8")
    started = time.monotonic()
    wait_until(lambda: installed.registry.batches.lake_version() != before)
    return time.monotonic() - started


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else FILES)
