"""The package as a code location: one top-level package that loads beside projects with an `assets` of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from experiment_pipeline.settings import PREFIX

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "deploy" / "beside-another-project"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables of a process that has its data and Dagster's in the test's folder, and no option of Python's."""
    home = tmp_path / "dagster"
    home.mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", PREFIX))}
    return inherited | {"DAGSTER_HOME": str(home), f"{PREFIX}DATA_DIR": str(tmp_path / "data")}


def validate(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """Let Dagster load definitions from a folder, and return what it logs."""
    command = [sys.executable, "-m", "dagster", "definitions", "validate", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_wheel__top_level__is_one_package_with_everything_in_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"experiment_pipeline"}
    sources = (path for path in (ROOT / "experiment_pipeline").rglob("*") if path.suffix in {".py", ".sql", ".yaml"})
    assert {path.relative_to(ROOT).as_posix() for path in sources} <= names
    for folder in ("assets", "resources"):
        assert {f"experiment_pipeline/{folder}/{path.name}" for path in (ROOT / folder).glob("*.py")} <= names


@pytest.mark.slow  # a code server starts
def test_definitions__in_a_folder_with_assets_and_resources_of_its_own__load(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    for name in ("assets", "resources"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('another project')\n", "utf-8")
    logged = validate(tmp_path, environment, "-m", "experiment_pipeline.definitions")
    assert "Validation successful for code location experiment_pipeline.definitions." in logged


@pytest.mark.slow  # two code servers start, one after the other
def test_workspace__of_another_project_and_this_one__loads_both(environment: dict[str, str]) -> None:
    logged = validate(EXAMPLE, environment, "-w", "workspace.yaml")
    for location in ("shop", "experiment_pipeline"):
        assert f"Validation successful for code location {location}." in logged


@pytest.mark.slow  # two code servers start, one after the other
def test_workspace__source_whose_data_another_location_makes__is_one_lineage_graph(
    environment: dict[str, str], tmp_path: Path
) -> None:
    manifest = tmp_path / "shop.yaml"
    manifest.write_text(
        "environments: {prod: {}}\n"
        "sources:\n"
        "  orders:\n"
        "    files: exports/*.parquet\n"
        "    upstream: [orders]\n"
        "    as: {event: purchased, identifier: user_id, timestamp: created_at}\n",
        "utf-8",
    )
    apply = [sys.executable, "-m", "experiment_pipeline", "apply", str(manifest)]
    subprocess.run(apply, env=environment, capture_output=True, check=True)
    query = "{ assetNodes { assetKey { path } dependencyKeys { path } repository { location { name } } } }"
    command = [str(Path(sys.executable).with_name("dagster-graphql")), "-w", "workspace.yaml", "-t", query]
    done = subprocess.run(command, cwd=EXAMPLE, env=environment, capture_output=True, text=True, check=True)
    (answer,) = (line for line in done.stdout.splitlines() if line.startswith('{"data"'))
    nodes = {
        "/".join(node["assetKey"]["path"]): (
            node["repository"]["location"]["name"],
            ["/".join(dependency["path"]) for dependency in node["dependencyKeys"]],
        )
        for node in json.loads(answer)["data"]["assetNodes"]
    }
    assert nodes["orders"] == ("shop", [])
    assert nodes["sources/orders"] == ("experiment_pipeline", ["orders"])
    assert nodes["events"] == ("experiment_pipeline", ["sources/orders"])
