"""The command group: quick, with one line and an exit code for everything that is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from experiment_pipeline.cli.main import main
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


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [("appli", "apply"), ("metric", "metrics"), ("experiment list", "experiments"), ("lake ingst", "ingest")],
)
def test_unknown_command__is_refused_with_the_likely_one(run: Run, mistyped: str, meant: str) -> None:
    refused = run(*mistyped.split())
    assert refused.exit_code == 2
    assert f"Did you mean '{meant}'?" in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["", "apply", "experiments", "experiments delete", "lake ingest", "dev"])
def test_help__short_option__is_that_of_the_command(run: Run, command: str) -> None:
    short, long = (run(*command.split(), option) for option in ("-h", "--help"))
    assert (short.exit_code, short.stdout) == (0, long.stdout)
    assert f"Usage: main {command}".rstrip() in short.stdout


@pytest.mark.parametrize("line", ["--data-dir {} {}", "{1} --data-dir {0}", "--data-dir nowhere {1} --data-dir {0}"])
@pytest.mark.parametrize("command", ["environments list", "results checkout"])
def test_global_options__before_and_after_the_command__mean_the_same(
    declared: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, command: str
) -> None:
    monkeypatch.setenv("EXPERIMENT_PIPELINE_DATA_DIR", str(tmp_path / "elsewhere"))
    assert declared(*command.split()).exit_code == 2
    shown = declared(*line.format(tmp_path / "data", command).split())
    assert shown.exit_code == 0, shown.output


def test_global_options__between_a_group_and_its_command__are_taken(declared: Run, tmp_path: Path) -> None:
    shown = declared("--data-dir", "nowhere", "environments", "--data-dir", tmp_path / "data", "list")
    assert "production" in shown.stdout


def test_version__after_a_command__is_shown(run: Run) -> None:
    assert run("results", "--version").stdout == run("--version").stdout


def test_completion__in_a_shell__knows_commands_and_options() -> None:
    environment = {
        "_EXPERIMENT_PIPELINE_COMPLETE": "bash_complete",
        "COMP_WORDS": "experiment-pipeline experiments li",
        "COMP_CWORD": "2",
    }
    shown = CliRunner().invoke(main, prog_name="experiment-pipeline", env=environment)
    assert (shown.exit_code, shown.stdout) == (0, "plain,list\n")
    source = CliRunner().invoke(
        main, prog_name="experiment-pipeline", env={"_EXPERIMENT_PIPELINE_COMPLETE": "zsh_source"}
    )
    assert "compdef" in source.stdout


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
    assert broken.stderr.startswith("Error: The registry's database cannot be reached. ")
    assert broken.stderr.endswith(" unable to open database file\n")
