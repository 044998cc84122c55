"""`make calibrate`: simulates every study on all cores and writes the table.

python -m tests.calibration [--experiments 20000] [--seed 20260101] [--output docs/calibration.md]
"""

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.calibration.report import table
from tests.calibration.studies import STUDIES

CHUNK = 250  # experiments simulated at a time: 720 looks of them are some ten megabytes


@click.command(help="Simulate the statistics core and hold it against its bounds.")
@click.option("--experiments", default=20_000, show_default=True, type=click.IntRange(min=CHUNK))
@click.option("--seed", default=20_260_101, show_default=True, type=click.IntRange(min=0))
@click.option("--processes", default=os.cpu_count() or 1, show_default="all cores", type=click.IntRange(min=1))
@click.option("--output", default="docs/calibration.md", show_default=True, type=click.Path(path_type=Path))
def main(experiments: int, seed: int, processes: int, output: Path) -> None:
    """Run, write, and exit with 1 where a bound is missed."""
    console = Console(stderr=True)
    found = simulate(experiments, seed, processes, console)
    text, missed = table(found, seed=seed, on=datetime.now(UTC).date())
    output.write_text(text, "utf-8")
    console.print(f"{output}: {'every bound is kept' if not missed else f'{missed} bounds are missed'}")
    sys.exit(1 if missed else 0)


def simulate(experiments: int, seed: int, processes: int, console: Console) -> list[Counter[str]]:
    """Return the findings of the studies, in their order; the same for a seed whatever the number of processes."""
    found: list[Counter[str]] = [Counter() for _ in STUDIES]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProcessPoolExecutor(processes) as pool, Progress(*columns, console=console) as progress:
        chunks = {
            pool.submit(run_chunk, number, seed, chunk): number
            for number in range(len(STUDIES))
            for chunk in range(experiments // CHUNK)
        }
        task = progress.add_task("Simulating", total=len(chunks) * CHUNK)
        for chunk in as_completed(chunks):
            found[chunks[chunk]] += chunk.result()
            progress.update(task, advance=CHUNK, description=STUDIES[chunks[chunk]].name)
    return found


def run_chunk(number: int, seed: int, chunk: int) -> Counter[str]:
    """Some experiments of one study, on random numbers of their own."""
    return STUDIES[number].run((seed, number, chunk), CHUNK)


if __name__ == "__main__":
    main()
