"""`make simulate`: A/A experiments, and experiments at the design's effect, through the whole pipeline.

python -m tests.simulation [--part 1] [--processes 2] [--finished build/simulation.jsonl] [--output docs/simulation.md]
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.progress import track

from tests.simulation.findings import MOVING, NULL, Ever, collected, page
from tests.simulation.guardrails import false_rollbacks
from tests.simulation.pipeline import published
from tests.simulation.traffic import Simulated, experiments

GUARDED = 10_000  # experiments for the error of several guardrails


@click.command(help="Simulate experiments through the pipeline, and hold what was published against its bounds.")
@click.option("--part", default=1, show_default=True, type=click.IntRange(min=1), help="Simulate one in so many.")
@click.option("--processes", default=os.cpu_count() or 1, show_default="all cores", type=click.IntRange(min=1))
@click.option(
    "--finished", type=click.Path(path_type=Path), help="Keep finished experiments here, and take them from here."
)
@click.option("--output", type=click.Path(path_type=Path), help="The page to write; shown alone without.")
def main(part: int, processes: int, finished: Path | None, output: Path | None) -> None:
    """Run, show or write, and exit with 1 where a bound is missed."""
    simulated = experiments(NULL // part, MOVING // part)
    found = {each.simulated: each for each in _kept(finished)}
    left = [each for each in simulated if each not in found]
    installations = [list(each) for _, each in groupby(left, key=lambda each: each.environment)]
    with ProcessPoolExecutor(processes) as pool:
        running = [pool.submit(_simulate, each) for each in installations]
        done = track(as_completed(running), "installations", total=len(running), console=Console(stderr=True))
        for each in (ever for future in done for ever in future.result()):
            found[each.simulated] = each
            _keep(each, finished)
    of_guardrails = false_rollbacks(GUARDED)
    text, missed = page([found[each] for each in simulated], of_guardrails, on=datetime.now(UTC).date())
    if output is None:
        click.echo(text)
    else:
        output.write_text(text, "utf-8")
    sys.exit(1 if missed else 0)


def _simulate(simulated: Sequence[Simulated]) -> list[Ever]:
    """Run the experiments of one environment in an installation of their own."""
    with TemporaryDirectory(prefix="simulation-") as folder:
        return collected(published(simulated, Path(folder)))


def _kept(finished: Path | None) -> Iterator[Ever]:
    lines = finished.read_text("utf-8").splitlines() if finished is not None and finished.exists() else []
    for line in map(json.loads, lines):
        decisions = {(action, rule) for action, rule in line["decisions"]}
        yield Ever(Simulated(**line["simulated"]), set(line["verdicts"]), decisions)


def _keep(each: Ever, finished: Path | None) -> None:
    if finished is None:
        return
    simulated = {"number": each.simulated.number, "lift": each.simulated.lift, "n_looks": each.simulated.n_looks}
    line = {"simulated": simulated, "verdicts": sorted(each.verdicts), "decisions": sorted(each.decisions)}
    finished.parent.mkdir(parents=True, exist_ok=True)
    with finished.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
