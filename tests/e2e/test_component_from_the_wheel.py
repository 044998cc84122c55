"""From nothing but the built wheel to results in a project of one's own, in five commands (P5)."""

import os
import subprocess
import sys
import sysconfig
from contextlib import closing
from pathlib import Path

import pytest

from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import PREFIX
from tests.automation.component.project import DEFINITIONS, PROJECT

ROOT = Path(__file__).parent.parent.parent
OURS = ("experiment_pipeline", "_experiment_pipeline")  # what an editable install puts into the environment
COMPONENT = "experiment_pipeline.ExperimentsComponent"

pytestmark = pytest.mark.e2e


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The Python of a fresh virtual environment: the packages that ours depends on, and the wheel."""
    built = tmp_path / "dist"
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = built.glob("*.whl")
    fresh = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(fresh)], check=True)
    here, (there,) = Path(sysconfig.get_path("purelib")), fresh.glob("lib/python*/site-packages")
    for package in here.iterdir():
        if not package.name.startswith(OURS):
            (there / package.name).symlink_to(package)
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(fresh / "bin/python"), *install], check=True)
    return fresh / "bin/python"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project, as `create-dagster project` writes one."""
    folder = tmp_path / "project"
    package = folder / "shop"
    (package / "defs").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT.format(name="shop"))
    (package / "definitions.py").write_text(DEFINITIONS)
    for empty in (package / "__init__.py", package / "defs/__init__.py"):
        empty.touch()
    for name in ("assets", "resources"):  # packages of the project's own, which nothing of ours may load
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise ImportError('of the project')\n")
    return folder


def test_wheel__in_a_fresh_environment__gives_a_verdict_in_five_commands__p5(python: Path, project: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", PREFIX))}
    home = project / "dagster_home"
    home.mkdir()
    environment = {**inherited, "DAGSTER_HOME": str(home), "PYTHONPATH": str(project), "VIRTUAL_ENV": ""}
    partition = ("--partition", "hiv_result_incentive")
    for command in (
        ("dagster_dg_cli.cli", "scaffold", "defs", COMPONENT, "experiments", "--example", "true"),
        ("dagster_dg_cli.cli", "check", "yaml"),
        ("dagster_dg_cli.cli", "check", "defs"),
        ("dagster", "asset", "materialize", "-m", "shop.definitions", "--select", "experiment_results", *partition),
    ):
        done = subprocess.run(
            [str(python), "-m", *command], cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    state = project / "shop/defs/experiments/.state"
    printed = subprocess.run(
        [str(python.with_name("experiment-pipeline")), "--data-dir", str(state), "results", "hiv_result_incentive"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "decision ship incentive" in printed.stdout, printed.stdout + printed.stderr
    with closing(Registry.open(f"sqlite:///{state / 'registry.sqlite'}")) as registry:
        (experiment,) = registry.experiments.list()
        payload = registry.computations.get(experiment.id, Computation.RESULTS).payload
    assert payload is not None
    assert payload["metrics"][0]["effect"]["incentive"]["value"] == pytest.approx(1745 / 2211 - 211 / 623)
