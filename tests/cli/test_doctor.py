"""`doctor` on real installations: sound ones, and ones that are broken in one way each."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from experiment_pipeline.cli import diagnosis
from experiment_pipeline.lake.delta import EVENTS
from experiment_pipeline.settings import PREFIX
from experiment_pipeline.storage.object_path import ObjectPath, store_of
from tests.cli.conftest import Run
from tests.lake.ledger import land, record


def severities(run: Run) -> dict[str, str]:
    return {each["check"]: each["severity"] for each in json.loads(run("doctor", "--json").stdout)}


def tree(folder: Path) -> dict[str, int]:
    """Every path below a folder, with the moment of its last change."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def set_revision(file: Path, revision: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        (table,) = connection.execute("select name from sqlite_master where name like '%version' limit 1").fetchone()
        connection.execute(f"update {table} set version_num = ?", [revision])  # noqa: S608 - a name of our own
        connection.commit()


def test_doctor__sound_installation__finds_no_problem_and_changes_nothing(declared: Run, tmp_path: Path) -> None:
    before = tree(tmp_path / "data")
    ran = declared("doctor")
    assert (ran.exit_code, "problem" in ran.stdout) == (0, False)
    assert "ok       lake: The lake fits the registry." in ran.stdout
    assert tree(tmp_path / "data") == before


def test_doctor__registry_in_use__reads_what_is_in_its_log(declared: Run, tmp_path: Path) -> None:
    file = tmp_path / "data" / "registry.sqlite"
    with closing(sqlite3.connect(file)) as other:
        other.execute("pragma journal_mode = wal")
        (table,) = other.execute("select name from sqlite_master where name like '%version' limit 1").fetchone()
        other.execute(f"update {table} set version_num = '9999'")  # noqa: S608
        other.commit()  # in the log, which is moved into the file when the last connection is closed
        assert severities(declared)["schema"] == "problem"


def test_doctor__no_data_directory__is_a_problem_and_makes_none(run: Run, tmp_path: Path) -> None:
    ran = run("doctor", "--json")
    assert ran.exit_code == 1
    assert {each["check"] for each in json.loads(ran.stdout) if each["severity"] == "problem"} == {
        "data_dir",
        "database",
    }
    assert not (tmp_path / "data").exists()


def test_doctor__older_schema__is_a_warning_and_stays(declared: Run, tmp_path: Path) -> None:
    file = tmp_path / "data" / "registry.sqlite"
    set_revision(file, "0003")
    content = file.read_bytes()
    ran = declared("doctor")
    assert ran.exit_code == 0
    assert "warning  schema: The registry's schema is 0003" in ran.stdout
    assert file.read_bytes() == content


def test_doctor__file_that_is_no_registry__is_a_problem(declared: Run, tmp_path: Path) -> None:
    (tmp_path / "data" / "registry.sqlite").write_bytes(b"no database" * 1000)
    ran = declared("doctor")
    assert ran.exit_code == 1
    assert "problem  database:" in ran.stdout


def test_doctor__database_that_is_away__is_a_problem_without_its_password(
    declared: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}REGISTRY_URL", "postgresql://ada:hunter2@127.0.0.1:1/registry")
    ran = declared("doctor")
    assert ran.exit_code == 1
    assert "problem  database:" in ran.stdout
    assert "hunter2" not in ran.output


def test_doctor__lake_that_is_gone__is_a_problem(declared: Run, tmp_path: Path) -> None:
    land(tmp_path / "data" / "landing", [record()], environment="production")
    assert declared("lake", "ingest").exit_code == 0
    assert severities(declared)["lake"] == "ok"
    shutil.rmtree(tmp_path / "data" / "lake" / EVENTS.name)
    assert severities(declared)["lake"] == "problem"


@pytest.mark.slow
def test_doctor__folder_that_may_not_be_written__is_a_problem(declared: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert declared("doctor").exit_code == 0
    command = [sys.executable, "-m", "experiment_pipeline", "doctor", "--json"]
    if os.geteuid() == 0:  # root writes anywhere, unless it gives that up
        overrides = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={overrides}", "--", *command]
    data.chmod(0o555)
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        data.chmod(0o755)
    found = {each["check"]: each["severity"] for each in json.loads(ran.stdout)}
    assert (ran.returncode, found["permissions"], found["schema"]) == (1, "problem", "ok")


def test_doctor__daemon_of_long_ago__is_a_warning(declared: Run, tmp_path: Path) -> None:
    file = tmp_path / "data" / "dagster" / "history" / "runs.db"
    assert "daemon" not in severities(declared)
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("create table daemon_heartbeats (daemon_type text, timestamp timestamp)")
        connection.execute("insert into daemon_heartbeats values ('SENSOR', '2026-01-01 00:00:00.000000')")
        connection.commit()
    assert severities(declared)["daemon"] == "warning"
    with closing(sqlite3.connect(file)) as connection:
        moment = datetime.now(UTC).replace(tzinfo=None).isoformat(" ")
        connection.execute("update daemon_heartbeats set timestamp = ?", [moment])
        connection.commit()
    assert severities(declared)["daemon"] == "ok"


def test_doctor__target_of_apprise_and_dagster_in_postgresql__need_their_extras(
    declared: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "find_spec", lambda _: None)
    assert severities(declared)["packages"] == "ok"
    (tmp_path / "targets.yaml").write_text("notifications: {team: {kind: apprise, url_env: TEAM_URL}}", "utf-8")
    assert declared("apply", tmp_path / "targets.yaml").exit_code == 0
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("storage: {postgres: {module: dagster_postgres}}", "utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    found = {each["check"]: each["remedy"] for each in json.loads(declared("doctor", "--json").stdout)}
    assert found["packages"] == "pip install 'experiment-pipeline[notify,postgres]'"


@pytest.mark.slow
def test_doctor__object_storage__is_asked_for_conditional_writes(
    declared: Run, object_storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}STORAGE", object_storage)
    assert severities(declared)["storage"] == "ok"
    assert not list(ObjectPath.of_url(object_storage, tmp_path).below())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    store_of.cache_clear()
    told = declared("doctor").stdout
    assert "problem  storage: The object storage s3://experiments cannot be used" in told
    assert "test-secret" not in told
