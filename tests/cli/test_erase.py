"""What `erase` prints, and what it refuses; tests/erasure has what it does."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.lake.ledger import land, record


def test_erase__dry_run__is_a_table_of_the_stores_and_says_what_is_not_searched(declared: Run, tmp_path: Path) -> None:
    land(tmp_path / "data" / "landing", [record()], "a.jsonl", "production")
    shown = declared("erase", "--identifier", "ada", "--dry-run")
    assert shown.exit_code == 0, shown.output
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["landing", "objects", "1", "objects", "1", "1", "1"] in lines
    assert "too short to be told from other words" in shown.stdout
    assert "Not searched: backups" in shown.stdout


def test_erase__environment_that_is_not_declared__is_searched_where_objects_lie(declared: Run, tmp_path: Path) -> None:
    land(tmp_path / "data" / "landing", [record()], "a.jsonl", "undeclared")
    proof = json.loads(declared("erase", "--identifier", "ada", "--yes", "--json").stdout)
    assert [each["environment"] for each in proof["environments"]] == ["production", "undeclared"]
    assert [each["remaining"] for each in proof["environments"]] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--identifier", ""], "--identifier: Must have 1 to 2,000 characters."),
        (["--identifier", "ada", "--environment", "prodcution"], "No environment 'prodcution'."),
        (["--identifier", "ada"], "--yes: Must be given"),
    ],
)
def test_erase__bad_input__is_refused_by_name(declared: Run, arguments: list[str], told: str) -> None:
    shown = declared("erase", *arguments, *(["--dry-run"] if "prodcution" in arguments else []))
    assert shown.exit_code == 2
    assert told in shown.stderr


def test_erase__environment_whose_events_lie_in_a_warehouse__says_that_nothing_was_searched_there(
    declared: Run, tmp_path: Path
) -> None:
    assert "warehouse" not in declared("erase", "--identifier", "ada", "--dry-run").stdout
    path = tmp_path / "warehouse.yaml"
    path.write_text("connections: {big: {url_env: BIG_URL}}\nenvironments: {production: {warehouse: big}}\n", "utf-8")
    applied = declared("apply", path)
    assert applied.exit_code == 0, applied.output
    shown = declared("erase", "--identifier", "ada", "--dry-run")
    assert "Its events lie in the warehouse big, where nothing was searched or erased." in shown.stdout
