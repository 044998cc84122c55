"""Commands on a registry that is stopped, locked or read-only: one line, exit code 1, never a traceback."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from experiment_pipeline.registry import wait_limits
from experiment_pipeline.settings import PREFIX
from tests.cli.conftest import Run

READS = [
    ("environments", "list"),
    ("experiments", "list"),
    ("experiments", "show", "checkout"),
    ("metrics", "list"),
    ("results", "checkout"),
    ("keys", "list"),
    ("audit", "list"),
    ("lake", "status"),
]
WRITES = [
    ("environments", "create", "another"),
    ("experiments", "pause", "checkout"),
    ("keys", "create", "--scope", "read"),
    ("refresh", "checkout"),
    ("refresh", "checkout", "--no-wait"),
    ("lake", "ingest"),
]


@pytest.fixture
def declared_file(declared: Run, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with an experiment and an object that has landed; nobody waits long for a lock."""
    assert declared("apply", manifest).exit_code == 0
    monkeypatch.setattr(wait_limits, "BUSY_SECONDS", 0.02)
    landed = tmp_path / "data" / "landing" / "env_key=production" / "a.jsonl"
    landed.parent.mkdir(parents=True)
    landed.write_text('{"event": "purchase", "identifier": "a", "timestamp": "2026-03-02T12:00:00Z"}\n')
    return tmp_path / "data" / "registry.sqlite"


@pytest.fixture
def locked(declared_file: Path) -> Iterator[None]:
    """The registry while somebody else's transaction has its lock."""
    other = sqlite3.connect(declared_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


def require_one_line(ran: Result, *parts: str) -> None:
    assert ran.exit_code == 1, ran.output
    assert isinstance(ran.exception, SystemExit)
    assert ran.stderr.count("\n") == 1
    assert ran.stderr.startswith("Error: The registry's database ")
    for part in parts:
        assert part in ran.stderr


@pytest.mark.usefixtures("declared_file")
def test_command__registry_that_cannot_be_reached__says_why_and_what_to_do(
    run: Run, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}REGISTRY_URL", "postgresql://user:secret@127.0.0.1:1/none")
    for command in (*READS, *WRITES, ("apply", f"{manifest}")):
        require_one_line(run(*command), "cannot be reached", "Connection refused", f"{PREFIX}REGISTRY_URL")


@pytest.mark.usefixtures("locked")
def test_command__registry_that_is_locked__reads_and_refuses_changes(run: Run, manifest: Path) -> None:
    for command in READS:
        assert run(*command).exit_code == 0, command
    for command in (*WRITES, ("apply", f"{manifest}")):
        require_one_line(run(*command), "is busy", "database is locked")


def test_command__registry_that_is_read_only__reads_and_refuses_changes(
    run: Run, manifest: Path, declared_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}REGISTRY_URL", f"sqlite:///file:{declared_file}?mode=ro&uri=true")
    manifest.write_text(manifest.read_text("utf-8").replace("name: Checkout", "name: Another"), "utf-8")
    for command in READS:
        assert run(*command).exit_code == 0, command
    for command in (*WRITES, ("apply", f"{manifest}")):
        require_one_line(run(*command), "is read-only", "attempt to write a readonly database")
