"""The command group: quick, with one line and an exit code for everything that is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_help__imports_no_heavy_module() -> None:
    script = (
        "import sys; from experiment_pipeline.cli.main import main; main(['--help'], standalone_mode=False);"
        "print(sorted({'sqlalchemy', 'alembic', 'dagster', 'duckdb', 'fastapi', 'scipy', 'polars'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"


def test_setting_that_breaks_a_rule__is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERIMENT_PIPELINE_DUCKDB_THREADS", "many")
    refused = run("apply", __file__)
    assert refused.exit_code == 2
    assert "EXPERIMENT_PIPELINE_DUCKDB_THREADS" in refused.stderr


def test_unknown_command__is_refused(run: Run) -> None:
    assert run("aply").exit_code == 2


@pytest.mark.parametrize("command", [("results", "checkout"), ("experiments", "list"), ("lake", "status")])
def test_data_directory__without_a_registry__is_refused_and_not_begun(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    refused = run("--data-dir", tmp_path / "demodata", *command)
    assert refused.exit_code == 2
    assert str(tmp_path / "demodata" / "registry.sqlite") in refused.stderr
    assert "--data-dir" in refused.stderr
    assert not (tmp_path / "demodata").exists()
