"""The command line on a registry of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from experiment_pipeline.cli.main import main
from experiment_pipeline.settings import PREFIX
from tests.conftest import make_registry

MANIFEST = """
environments: {production: {name: Production}}
metrics:
  purchase: {aggregation: occurrence, definition: {version: 1, event: purchase}}
experiments:
  checkout:
    name: Checkout
    hypothesis: A larger button sells more.
    feature: checkout_button
    variants: [{key: larger, percentage_allocation: 50}]
    metrics: [{metric: purchase, expected_direction: increase}]
    status: running
"""
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line; everything it keeps is in the test's folder."""
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path / "data"))
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A file that declares one running experiment."""
    path = tmp_path / "experiments.yaml"
    path.write_text(MANIFEST, "utf-8")
    return path


@pytest.fixture
def declared(run: Run, manifest: Path, tmp_path: Path) -> Run:
    """A registry with one running experiment."""
    make_registry(tmp_path / "data" / "registry.sqlite")
    assert run("apply", manifest).exit_code == 0
    return run
