"""How long does the server work for a page? Processor time and size of a long list and of a large experiment's page.

    python -m tests.bench.pages [--repeats N]

The API in process over SQLite: a list of 200 experiments with results each, and the page of one with 30 metrics,
8 arms and 40 looks. Prints the median and the longest processor time of a request, in milliseconds, and kB.
"""

import argparse
import logging
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import structlog
from starlette.testclient import TestClient

from experiment_pipeline.api.app import create_app
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.api.conftest import ACTOR, NOW, Api, Clock
from tests.api.site.browsing import signed_in
from tests.api.site.installation import MANY, declare, declare_metric, publish_look

EXPERIMENTS, LOOKS = 200, 40
HOME = "/environments/production/experiments"
PAGES = {"list of 200 experiments": f"{HOME}/?page_size=200", "30 metrics, 8 arms, 40 looks": f"{HOME}/large/"}


def main(repeats: int) -> None:
    """Make the experiments, ask for each page so often, print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # no line a request
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        registry, clock = Registry.open(settings.database_url), Clock()
        registry.environments.create("production", "production", actor=ACTOR, now=NOW)
        _, token = registry.keys.create("production", Scope.READ, "read", actor=ACTOR, now=NOW)
        _make(registry, clock)
        with TestClient(create_app(registry, settings, clock)) as client:
            api = Api(client, registry, settings, clock, {"read": token})
            with signed_in(api, "read"):
                for name, path in PAGES.items():
                    _print_times(client, name, path, repeats)


def _make(registry: Registry, clock: Clock) -> None:
    """Declare and publish `EXPERIMENTS` experiments, one of them large and with `LOOKS` looks."""
    metrics = tuple(declare_metric(registry, f"metric {number}", NOW) for number in range(MANY["metrics"]))
    large = declare(registry, "large", NOW, metrics=metrics, treatments=MANY["treatments"])
    for number in range(EXPERIMENTS - 1):
        small = declare(registry, f"small{number}", NOW, metrics=metrics[:1])
        publish_look(registry, small, 1, NOW + timedelta(hours=1))
    for number in range(1, LOOKS + 1):
        clock.pass_by(timedelta(days=1))
        publish_look(registry, large, number, clock.now)


def _print_times(client: TestClient, name: str, path: str, repeats: int) -> None:
    times = []
    for _ in range(repeats + 1):
        before = time.process_time()
        answer = client.get(path)
        times.append(1000 * (time.process_time() - before))
        answer.raise_for_status()
    del times[0]  # it compiles the template
    size = len(answer.content) / 1000
    print(f"{name:30} median {statistics.median(times):4.0f} ms, longest {max(times):4.0f} ms, {size:4.0f} kB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    main(parser.parse_args().repeats)
