"""`make calibrate`: simulates every study on all cores and writes the table.

python -m tests.calibration [--experiments 20000] [--seed 20260101] [--output docs/calibration.md]
                            [--study TEXT] [--finished build/calibration.jsonl]
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.calibration.kinds import EVERY_STUDY
from tests.calibration.report import table
from tests.calibration.studies import Study

CHUNK = 250  # experiments simulated at a time: 720 looks of them are some ten megabytes


@click.command(help="Simulate the statistics core and hold it against its bounds.")
@click.option("--experiments", default=20_000, show_default=True, type=click.IntRange(min=CHUNK))
@click.option("--seed", default=20_260_101, show_default=True, type=click.IntRange(min=0))
@click.option("--processes", default=os.cpu_count() or 1, show_default="all cores", type=click.IntRange(min=1))
@click.option("--study", default="", help="Only studies whose name holds this text.")
@click.option(
    "--finished", type=click.Path(path_type=Path), help="Keep finished studies here, and take them from here."
)
@click.option("--output", default="docs/calibration.md", show_default=True, type=click.Path(path_type=Path))
def main(  # noqa: PLR0917 - one argument for each option
    experiments: int, seed: int, processes: int, study: str, finished: Path | None, output: Path
) -> None:
    """Run, write, and exit with 1 where a bound is missed."""
    console = Console(stderr=True)
    chosen = [each for each in EVERY_STUDY if study in each.name]
    simulated = simulate(chosen, Run(experiments, seed, finished), processes, console)
    text, missed = table(chosen, [each.found for each in simulated], seed=seed, on=datetime.now(UTC).date())
    output.write_text(text, "utf-8")
    console.print(f"CPU time of these studies: {sum(each.seconds for each in simulated) / 60:.1f} minutes")
    console.print(f"{output}: {'every bound is kept' if not missed else f'{missed} bounds are missed'}")
    sys.exit(1 if missed else 0)


@dataclass(slots=True)
class Simulated:
    """Findings of one study, and the CPU seconds that they took."""

    found: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """How many experiments on which random numbers, and the file of the studies that are finished, if there is one."""

    experiments: int
    seed: int
    finished: Path | None = None

    def chunks(self, study: Study) -> int:
        """Return how many chunks of experiments a study takes."""
        return max(1, round(self.experiments * study.share) // CHUNK)

    def of(self, study: Study) -> dict[str, object]:
        """Return what tells a study of this run from others."""
        return {"study": study.name, "seed": self.seed, "experiments": self.chunks(study) * CHUNK}

    def known(self) -> dict[str, Simulated]:
        """Return the studies that are finished, by what tells them apart."""
        if self.finished is None or not self.finished.exists():
            return {}
        lines = (json.loads(line) for line in self.finished.read_text("utf-8").splitlines())
        return {json.dumps(line["of"]): Simulated(Counter(line["found"]), line["seconds"]) for line in lines}

    def keep(self, study: Study, simulated: Simulated) -> None:
        """Append a finished study, so that an interrupted run loses none."""
        if self.finished is not None:
            self.finished.parent.mkdir(parents=True, exist_ok=True)
            with self.finished.open("a", encoding="utf-8") as file:
                line = {"of": self.of(study), "found": simulated.found, "seconds": simulated.seconds}
                file.write(json.dumps(line) + "\n")


def simulate(studies: Sequence[Study], run: Run, processes: int, console: Console) -> list[Simulated]:
    """Return the findings of the studies, in their order; the same for a seed whatever the number of processes."""
    known = run.known()
    simulated = [known.get(json.dumps(run.of(study)), Simulated()) for study in studies]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProcessPoolExecutor(processes) as pool, Progress(*columns, console=console) as progress:
        left = {number: run.chunks(study) for number, study in enumerate(studies) if not simulated[number].found}
        chunks = {
            pool.submit(run_chunk, EVERY_STUDY.index(studies[number]), run.seed, chunk): number
            for number, size in left.items()
            for chunk in range(size)
        }
        task = progress.add_task("Simulating", total=len(chunks) * CHUNK)
        for chunk in as_completed(chunks):
            number = chunks[chunk]
            found, seconds = chunk.result()
            simulated[number].found.update(found)
            simulated[number].seconds += seconds
            left[number] -= 1
            if not left[number]:
                run.keep(studies[number], simulated[number])
            progress.update(task, advance=CHUNK, description=studies[number].name)
    return simulated


def run_chunk(number: int, seed: int, chunk: int) -> tuple[Counter[str], float]:
    """Return what some experiments of one study found, and the CPU seconds that they took.

    Their random numbers are those of the study's name and the chunk, so that a new study changes no other.
    """
    study, started = EVERY_STUDY[number], time.process_time()
    return study.run((seed, crc32(study.name.encode()), chunk), CHUNK), time.process_time() - started


if __name__ == "__main__":
    main()
