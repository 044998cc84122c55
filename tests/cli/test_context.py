"""Which registry and which environment a command works on."""

from pathlib import Path

import pytest

from experiment_pipeline.registry.registry import Registry
from tests.cli.conftest import Run


def test_environment__several_or_none__must_be_named(run: Run, tmp_path: Path) -> None:
    Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}").close()
    assert "There is none yet" in run("metrics", "delete", "purchase").stderr
    for key in ("a", "b"):
        run("environments", "create", key)
    refused = run("keys", "create", "--scope", "read")
    assert (refused.exit_code, refused.stderr) == (2, "Error: --environment: Name one of a, b.\n")
    assert run("keys", "create", "--scope", "read", "--environment", "b").exit_code == 0
    assert run("metrics", "list", "-e", "c").stderr == "Error: No environment 'c'.\n"


def test_registry__that_does_not_answer__is_one_line_and_exit_code_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERIMENT_PIPELINE_REGISTRY_URL", "postgresql://user:secret@127.0.0.1:1/none")
    broken = run("environments", "list")
    assert broken.exit_code == 1
    assert broken.stderr.startswith("Error: The registry's database cannot be reached. Check that it runs, ")
    assert "Connection refused" in broken.stderr
    assert "secret" not in broken.stderr
    assert broken.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [("backup", "elsewhere"), ("restore", "elsewhere"), ("demo",)])
def test_command__of_a_data_directory_alone__is_refused_with_a_bucket(
    run: Run, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERIMENT_PIPELINE_STORAGE", "s3://bucket/prefix")
    refused = run(*command)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: EXPERIMENT_PIPELINE_STORAGE: This command works on a data directory alone")
    assert not (tmp_path / "data").exists()
