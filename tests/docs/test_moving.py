"""The commands of docs/moving.md do what the page says, in the order in which they stand there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backup.conftest import Place
from tests.conftest import MakeDatabase
from tests.docs.pages import documents

PAGE = documents()["docs/moving.md"]
SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*\n)*)", re.MULTILINE)
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCRIPTS = {title: "".join(BLOCK.findall(text)) for title, text in SECTION.findall(PAGE)}
DATABASE = "postgresql://pipeline@db.example.com/experiments"
CHANGES = {
    "To another folder": "/srv/pipeline",
    "To another machine": "/srv/restored",
    "To a newer version": "/srv/experiments",
    "The registry to PostgreSQL, or back": "/srv/experiments",
}
REFERENCE = """
environments: {prod: {}}
experiments:
  checkout:
    hypothesis: It sells more.
    feature: checkout
    status: running
    started_at: 2026-03-01T00:00:00Z
    variants: [{key: b, percentage_allocation: 50}]
    metrics: []
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that is `/` on the page: an installation at /srv/experiments."""
    place = Place(tmp_path / "srv/experiments")
    (tmp_path / "experiments.yaml").write_text(REFERENCE)
    place.done("apply", tmp_path / "experiments.yaml")
    place.land("first", 60, 60)
    place.done("lake", "ingest")
    place.done("refresh", "checkout")
    return tmp_path


def execute(script: str, root: Path, database: str) -> str:
    """Run a script of the page as a shell does, below a folder of the test, and return what it prints."""
    script = script.replace(DATABASE, database)
    script = re.sub(r"(?<![\w.])/(?=(srv|mnt)/)", f"{root}/", script)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euc", script], env=environment, cwd=root, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_page__has_commands_in_each_section_and_all_are_run() -> None:
    assert set(SCRIPTS) == {*CHANGES, "Backups", "Restoring", "Back to the right lake"}
    assert PAGE.count("experiment-pipeline --data-dir") == sum(
        script.count("experiment-pipeline --data-dir") for script in SCRIPTS.values()
    )


@pytest.mark.slow
@pytest.mark.parametrize("title", CHANGES)
def test_section__then_results__are_the_same(root: Path, make_database: MakeDatabase, title: str) -> None:
    before = Place(root / "srv/experiments").shown()
    printed = execute(SCRIPTS[title], root, make_database("postgresql"))
    assert "Data version 1. Every landing object is ingested." in printed
    assert Place(root / CHANGES[title].lstrip("/")).shown() == before


@pytest.mark.slow
def test_backups_and_restoring__then_results__are_the_same(root: Path) -> None:
    before = Place(root / "srv/experiments").shown()
    printed = execute(SCRIPTS["Backups"] + SCRIPTS["Restoring"], root, "")
    assert "Data version 1. Every landing object is ingested." in printed
    assert Place(root / "srv/restored").shown() == before


@pytest.mark.slow
def test_back_to_the_right_lake__then_results__are_the_same(root: Path) -> None:
    data = root / "srv/experiments"
    place = Place(data)
    before = place.shown()
    (data / "lake").rename(data / "aside")
    place.done("lake", "repair", "--accept-loss", "1")
    (data / "lake").rename(data / "wrong")
    (data / "aside").rename(data / "lake")
    shown, bound = BLOCK.findall(dict(SECTION.findall(PAGE))["Back to the right lake"])
    (found,) = re.findall(r"registry bind --to (\S+)", execute(shown, root, ""))
    printed = execute(re.sub(r"--to \S+", f"--to {found}", bound), root, "")
    assert "Data version 1. Every landing object is ingested." in printed
    *results, audit, keys = place.shown()
    assert [*results, keys] == [*before[:-2], before[-1]]
    assert [line["action"] for line in json.loads(audit)] == [
        "bind",
        *(each["action"] for each in json.loads(before[-2])),
    ]
