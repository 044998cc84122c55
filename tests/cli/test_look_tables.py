"""`experiment-pipeline tables`: what waits, written and rebuilt; a dry run changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.look_tables import write_published
from experiment_pipeline.settings import Settings
from tests.cli.conftest import Run
from tests.tables.looks import Looks, contents


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


def test_tables__of_a_restored_backup__are_made_again_by_the_first_write(here: Looks, run: Run, tmp_path: Path) -> None:
    here.publish(1)
    written = run("tables", "write").output
    assert run("backup", tmp_path / "backup").exit_code == 0
    assert not (tmp_path / "backup" / "tables").exists()
    elsewhere = ("--data-dir", tmp_path / "restored")
    assert run(*elsewhere, "restore", tmp_path / "backup").exit_code == 0
    assert "the next write writes every look anew" in run(*elsewhere, "tables", "write", "--dry-run").output
    assert run(*elsewhere, "tables", "write").output == written
    assert contents(tmp_path / "restored") == contents(here.folder)


def test_lake_vacuum__deletes_what_a_rebuild_has_replaced_in_the_tables(here: Looks, run: Run) -> None:
    here.publish(1)
    run("tables", "write")
    run("tables", "rebuild")
    before = contents(here.folder)
    assert run("lake", "compact").exit_code == 0
    assert run("lake", "vacuum").output == "0 files deleted.\n"
    assert run("lake", "vacuum", "--retention-hours", 0, "--dry-run").output == "4 files would be deleted.\n"
    assert run("lake", "vacuum", "--retention-hours", 0).output == "4 files deleted.\n"
    assert contents(here.folder) == before


def test_write_published__where_the_tables_cannot_be_read__tells_it_and_goes_on(
    here: Looks, capsys: pytest.CaptureFixture[str]
) -> None:
    here.publish(1)
    (here.folder / "tables/results/_delta_log").mkdir(parents=True)
    (here.folder / "tables/results/_delta_log/00000000000000000000.json").write_text("{")
    write_published(Context(Settings(data_dir=here.folder)))
    assert "The tables of all looks are not written yet: The table in" in capsys.readouterr().err
    assert here.registry.table_outbox.state().waiting == 2
