"""The command group: quick, with one line and an exit code for everything that is refused."""

import subprocess
import sys

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
