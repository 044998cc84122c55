"""`experiment-pipeline tables`: what waits, written and rebuilt; a dry run changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.tables.looks import Looks


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Looks]:
    made = Looks.make(tmp_path / "data")
    yield made
    made.registry.close()


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "registry" not in path.name}


def test_tables__written_and_rebuilt__say_how_much(here: Looks, run: Run) -> None:
    assert run("tables", "write").output == "Everything that was published is in the tables.\n"
    assert run("tables", "status").output.splitlines()[-1] == "Nothing was published yet."
    here.publish(1)
    assert "or are new: the next write writes every look anew." in run("tables", "status").output
    before = files(here.folder)
    for command in ("write", "rebuild"):
        assert run("tables", command, "--dry-run").exit_code == 0
    assert files(here.folder) == before
    written = "1 looks written: rows: 4 of results, 1 of looks, 1 of exposures_timeseries, 1 of health.\n"
    assert run("tables", "write").output == written
    *rows, last = run("tables", "status").output.splitlines()[1:]
    assert [row.split() for row in rows] == [
        ["results", "1", "4"], ["looks", "1", "1"], ["exposures_timeseries", "1", "1"], ["health", "1", "1"],
    ]  # fmt: skip
    assert last == "Everything that was published is in them."
    here.publish(2)
    assert run("tables", "status").output.splitlines()[-1] == "2 publications wait."
    waits = "2 publications wait: the tables are written once in 60 s at most.\n"
    assert run("tables", "write").output == waits
    assert run("tables", "rebuild", "--dry-run").output == "2 looks would be written, in the place of 7 rows.\n"
    assert run("tables", "rebuild").output.startswith("2 looks written: rows: 8 of results, 2 of looks")
    assert json.loads(run("tables", "status", "--json").stdout)["complete"] is True


def test_tables__help__has_examples(run: Run) -> None:
    for command in ("status", "write", "rebuild"):
        assert f"experiment-pipeline tables {command}" in run("tables", command, "--help").output
