"""How much longer does a refresh take when every identity saw another variant? A sender chooses how many there are.

    python -m tests.bench.exposure_values [--identities 200000] [--repeats 3]

Two installations hold the same identities and purchases; in one they saw three variants, in the other each saw its own.
Both are refreshed in turns, in this process, through Dagster. Ends with 1 when the ratio is over the target.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.definitions import build
from experiment_pipeline.resources.dagster_instance import add_partitions, open_instance, run_here
from experiment_pipeline.settings import Settings

FEW = ("control", "b", "unheard of")
TARGET = 2.0  # times the refresh over three variants
MANIFEST = """
environments: {bench: {}}
metrics:
  bought: {aggregation: occurrence, definition: {version: 1, event: purchase}}
  revenue: {aggregation: sum, definition: {version: 1, event: purchase}}
experiments:
  button:
    hypothesis: A sender may choose as many variants as identities.
    feature: button
    status: running
    started_at: %s
    variants: [{key: b, percentage_allocation: 50}]
    metrics: [{metric: bought, expected_direction: increase}, {metric: revenue, expected_direction: increase}]
"""
PARTITION = "button-1"


@dataclass
class Installation:
    """A data directory with its events ingested, and the definitions over it."""

    folder: Path
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    @classmethod
    def of(cls, folder: Path, kept: ExitStack, identities: int, variant_of: Callable[[int], str]) -> "Installation":
        now = datetime.now(UTC)
        manifest = folder / "experiments.yaml"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(MANIFEST % (now - timedelta(days=1)).isoformat())
        pipeline(folder, "apply", str(manifest))
        land(folder / "landing", now - timedelta(hours=1), identities, variant_of)
        pipeline(folder, "lake", "ingest")
        settings = Settings(data_dir=folder)
        instance = kept.enter_context(open_instance(settings.dagster_home))
        add_partitions(instance, EXPERIMENTS, [PARTITION])
        return cls(folder, build(settings), instance)

    def refresh(self) -> float:
        """Return the seconds of one whole refresh."""
        started = time.perf_counter()
        run_here(self.definitions, "refresh_experiment", self.instance, PARTITION)
        return time.perf_counter() - started

    def payload_bytes(self) -> int:
        """Return the size of the exposures payload as the API sends it."""
        shown = json.loads(pipeline(self.folder, "results", "button", "--json"))
        return len(json.dumps(shown["exposures"], separators=(",", ":")))


def pipeline(folder: Path, *arguments: str) -> str:
    """Run a command over a data directory, and return what it prints."""
    command = [sys.executable, "-m", "experiment_pipeline", "--data-dir", str(folder), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def land(landing: Path, at: datetime, identities: int, variant_of: Callable[[int], str]) -> None:
    """Write one object: every identity sees a variant, every fourth one buys."""
    folder = landing / "events" / "env_key=bench" / f"{at:%Y/%m/%d/%H}"
    folder.mkdir(parents=True)
    with (folder / ".bench.jsonl").open("w") as lines:
        for number in range(identities):
            event = {
                "identifier": f"identity-{number}",
                "timestamp": (at + timedelta(seconds=number % 600)).isoformat(),
            }
            exposure = {"event": "$flag_exposure", "feature_name": "button", "value": variant_of(number)}
            lines.write(json.dumps(event | exposure) + "\n")
            if number % 4 == 0:
                later = (at + timedelta(minutes=20)).isoformat()
                lines.write(json.dumps(event | {"event": "purchase", "value": 10, "timestamp": later}) + "\n")
    (folder / ".bench.jsonl").rename(folder / "bench.jsonl")


def main(identities: int, repeats: int) -> int:
    """Measure both, and return 1 when the target is missed."""
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as kept:
        few = Installation.of(Path(temporary, "few"), kept, identities, lambda number: FEW[number % len(FEW)])
        many = Installation.of(Path(temporary, "many"), kept, identities, lambda number: f"value-{number}")
        for installation in (few, many):
            installation.refresh()  # what only the first one pays for
        seconds = [(few.refresh(), many.refresh()) for _ in range(repeats)]
        sizes = few.payload_bytes(), many.payload_bytes()
    best = tuple(min(side) for side in zip(*seconds, strict=True))
    for what, side, size in zip((f"{len(FEW)} variants", f"{identities:,} variants"), best, sizes, strict=True):
        print(f"{what:>17}: {side:6.2f} s a refresh, {size:>10,} bytes of exposures")
    ratio = best[1] / best[0]
    print(f"{'ratio':>17}: {ratio:6.2f} (target: at most {TARGET:g})")
    return int(ratio > TARGET)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--identities", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    sys.exit(main(arguments.identities, arguments.repeats))
