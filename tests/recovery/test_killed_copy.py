"""Copying a registry is killed at every transaction: the copy goes on, and has every row exactly once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from experiment_pipeline.cli.main import main
from experiment_pipeline.registry.copying import summarise
from experiment_pipeline.registry.engine import open_engine
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import PREFIX
from tests.conftest import MakeDatabase
from tests.registry.test_copying import fill

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_registry_copy__killed_at_every_transaction__has_every_row_once(
    tmp_path: Path, make_database: MakeDatabase, kind: str
) -> None:
    source = Registry.open(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    fill(source)
    before, url, deaths = summarise(source.engine), make_database(kind), 0
    command = ["--data-dir", str(tmp_path), "registry", "copy", "--to", url]
    for when in ("before", "after") * 100:
        # The first transaction prepares the target, the second is of the next batch, and then of the end.
        at = "1" if deaths == 0 else "2"
        process = [sys.executable, "-m", "tests.recovery.killed_copy", at, when, *command]
        ended = subprocess.run(process, cwd=ROOT, check=False, timeout=600).returncode
        if ended != -signal.SIGKILL:
            break
        if deaths == 1:
            opened = CliRunner(env={f"{PREFIX}REGISTRY_URL": url}).invoke(main, ["experiments", "list"])
            assert "unfinished copy" in opened.stderr
        deaths += 1
    assert deaths > len(before)
    # The last one died right after the copy was complete.
    refused = CliRunner().invoke(main, command)
    assert "a finished copy of it" in refused.stderr
    engine = open_engine(url)
    assert summarise(engine) == before == summarise(source.engine)
    engine.dispose()
    source.close()
