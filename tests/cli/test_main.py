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


@pytest.mark.parametrize("command", [("results", "checkout"), ("experiments", "list"), ("lake", "compact")])
def test_data_directory__without_a_registry__is_refused_and_not_created(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    refused = run("--data-dir", tmp_path / "demodata", *command)
    assert refused.exit_code == 2
    assert str(tmp_path / "demodata" / "registry.sqlite") in refused.stderr
    assert "--data-dir" in refused.stderr
    assert not (tmp_path / "demodata").exists()


def test_data_directory__that_begins__is_told_and_a_dry_run_begins_none(
    run: Run, manifest: Path, tmp_path: Path
) -> None:
    tried = run("apply", "--dry-run", manifest)
    assert "3 created" in tried.stdout
    assert not (tmp_path / "data").exists()
    created = run("apply", manifest)
    assert created.stderr == f"Creating a new registry at {tmp_path / 'data' / 'registry.sqlite'}.\n"
    assert run("apply", manifest).stderr == ""


def test_data_directory__that_may_not_be_read__is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)
    broken = run("environments", "list")
    assert broken.exit_code == 1
    assert broken.stderr == "Error: The registry's database does not answer: unable to open database file\n"
