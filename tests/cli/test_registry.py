"""`experiment-pipeline registry`: copy, bind."""

import json
from pathlib import Path

import pytest

from experiment_pipeline.settings import PREFIX
from tests.cli.conftest import Run
from tests.conftest import MakeDatabase
from tests.lake.ledger import land, record

SECRET = "planted-secret"


@pytest.mark.parametrize("kind", [pytest.param("sqlite", marks=pytest.mark.slow), "postgresql"])
def test_registry_copy__then_the_new_url__shows_the_same_to_the_byte(
    declared: Run, make_database: MakeDatabase, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert declared("refresh", "checkout").exit_code == 0
    shown = (("results", "checkout", "--json"), ("audit", "list", "--json"), ("experiments", "show", "checkout"))
    before = [declared(*command).stdout for command in shown]
    url = make_database(kind)
    copied = declared("registry", "copy", "--to", url)
    assert copied.exit_code == 0, copied.output
    assert "Counts and digests of all tables agree." in copied.stdout
    assert "The old registry is unchanged." in copied.stdout
    again = declared("registry", "copy", "--to", url)
    assert (again.exit_code, "holds this registry already" in again.stderr) == (2, True)
    monkeypatch.setenv(f"{PREFIX}REGISTRY_URL", url)
    assert [declared(*command).stdout for command in shown] == before


def test_registry_copy__dry_run__tells_and_makes_no_file(declared: Run, tmp_path: Path) -> None:
    told = declared("registry", "copy", "--to", f"sqlite:///{tmp_path}/new/copy.sqlite", "--dry-run")
    assert told.exit_code == 0, told.output
    assert "experiments: 1 rows" in told.stdout
    assert f"would be copied to sqlite:///{tmp_path}/new/copy.sqlite." in told.stdout
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"postgresql://somebody:{SECRET}@127.0.0.1:1/experiments?password={SECRET}", 1),
        (f"mysql://somebody:{SECRET}@127.0.0.1/experiments", 2),
        (f"no url {SECRET}", 2),
    ],
)
def test_registry_copy__that_fails__never_shows_the_password(declared: Run, url: str, code: int) -> None:
    failed = declared("registry", "copy", "--to", url)
    assert failed.exit_code == code, failed.output
    assert failed.stderr.startswith("Error: ")
    assert SECRET not in failed.output


def test_registry_copy__without_a_registry__is_refused(run: Run, tmp_path: Path) -> None:
    refused = run("registry", "copy", "--to", f"sqlite:///{tmp_path}/copy.sqlite")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: No registry at ")
    assert not (tmp_path / "copy.sqlite").exists()


def test_registry_bind__shows_both_ids_and_binds_the_one_that_is_named(declared: Run, tmp_path: Path) -> None:
    right, wrong = tmp_path / "data", tmp_path / "wrong"
    land(right / "landing", [record(event_id="1")], "1.jsonl", "production")
    assert declared("lake", "ingest").exit_code == 0
    known = json.loads(declared("registry", "bind", "--json").stdout)["found"]
    assert f"belongs to the lake here, {known}: there is nothing to bind" in declared("registry", "bind").stdout
    (right / "lake").rename(right / "aside")
    assert declared("lake", "repair", "--accept-loss", "1").exit_code == 0
    (right / "lake").rename(wrong)
    (right / "aside").rename(right / "lake")
    for command in (("lake", "ingest"), ("refresh", "checkout")):
        assert "See `registry bind`".lower() in declared(*command).output.lower()
    planned = declared("registry", "bind")
    shown = json.loads(declared("registry", "bind", "--json").stdout)
    assert (shown["found"], shown["compared"], shown["lacking"]) == (known, 1, [])
    assert f"belongs to the lake {shown['known']}.\nThe lake here is {known}; 1 of its batches" in planned.stdout
    assert f"registry bind --to {known}" in planned.stdout
    assert declared("lake", "ingest").exit_code == 1
    assert declared("registry", "bind", "--to", shown["known"]).exit_code == 2
    assert "belongs to the lake here now" in declared("registry", "bind", "--to", known).stdout
    assert declared("lake", "ingest").exit_code == 0
