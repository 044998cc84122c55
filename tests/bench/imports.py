"""What a run's process imports before it does anything: a refresh pays it each time.

python -m tests.bench.imports
"""

import statistics
import subprocess
import sys
import time

REPEATS = 5
MODULES = (
    "dagster",
    "experiment_pipeline.definitions",
    "experiment_pipeline.results.compute",
    "experiment_pipeline.cli.main",
)


def seconds(module: str) -> float:
    """Median over fresh processes, the interpreter's own start taken out."""
    return _median(f"import {module}") - _median("pass")


def _median(program: str) -> float:
    return statistics.median(_once(program) for _ in range(REPEATS))


def _once(program: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    for module in MODULES:
        print(f"import {module:34} {seconds(module):6.2f} s")
