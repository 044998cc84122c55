"""Each check alone: what it finds, at its limits."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.cli import diagnosis
from experiment_pipeline.cli.diagnosis import Severity

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("version", "severity"), [((3, 10), "problem"), ((3, 11), "ok"), ((4, 0), "ok")])
def test_check_python__version__is_compared(version: tuple[int, int], severity: str) -> None:
    assert diagnosis.check_python(version).severity == severity


@pytest.mark.parametrize(("limit", "severity"), [(63, "problem"), (64, "warning"), (1024, "ok"), (-1, "ok")])
def test_check_open_files__limit__is_compared(limit: int, severity: str) -> None:
    assert diagnosis.check_open_files(limit).severity == severity


def test_check_packages__missing_extra__is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(diagnosis.MODULES, "oracle", ("oracle", ("no_such_driver",)))
    found = diagnosis.check_packages({"oracle", "postgresql", "file"})
    assert (found.severity, found.remedy) == (Severity.PROBLEM, "pip install 'experiment-pipeline[oracle]'")
    assert diagnosis.check_packages({"file"}).severity == "ok"


def test_check_packages__of_targets_and_of_dagster__are_named_by_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "find_spec", lambda _: None)
    found = diagnosis.check_packages((), {"apprise", "dagster_postgres"})
    assert (found.severity, found.remedy) == ("problem", "pip install 'experiment-pipeline[notify,postgres]'")


@pytest.mark.parametrize(
    ("of_folder", "of_file", "severity"), [(0o755, 0o644, "warning"), (0o700, 0o644, "ok"), (0o755, 0o640, "ok")]
)
def test_check_registry_file__that_everybody_can_read__is_a_warning(
    tmp_path: Path, of_folder: int, of_file: int, severity: str
) -> None:
    file = tmp_path / "data" / "registry.sqlite"
    file.parent.mkdir()
    file.touch()
    file.chmod(of_file)
    file.parent.chmod(of_folder)
    assert diagnosis.check_registry_file(file).severity == severity


def test_check_free_space__limits__decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(diagnosis, "LITTLE_FREE", free * 2)
    monkeypatch.setattr(diagnosis, "LEAST_FREE", 0)
    assert diagnosis.check_free_space(tmp_path).severity == "warning"
    monkeypatch.setattr(diagnosis, "LEAST_FREE", free * 2)
    assert diagnosis.check_free_space(tmp_path).severity == "problem"


def test_check_sync__folder__is_synced_and_a_missing_one_is_a_problem(tmp_path: Path) -> None:
    assert diagnosis.check_sync(tmp_path).severity == "ok"
    assert diagnosis.check_sync(tmp_path / "gone").severity == "problem"


def test_check_file_system__another_one_below__is_a_problem() -> None:
    assert diagnosis.check_file_system([Path("/")]).severity == "problem"  # /proc is another one
    assert diagnosis.check_file_system([Path("/gone")]).severity == "ok"


@pytest.mark.parametrize(
    ("text", "mode", "severity"),
    [
        ("url: postgresql://dagster:hunter2@db/dagster\n", 0o644, "problem"),
        ("postgres_db:\n  password: hunter2\n", 0o644, "problem"),
        ("postgres_db:\n  password: hunter2\n", 0o640, "ok"),
        ("postgres_db:\n  password:\n    env: DAGSTER_PASSWORD\n", 0o644, "ok"),
    ],
)
def test_check_secrets__password_that_everybody_can_read__is_a_problem_and_is_not_shown(
    tmp_path: Path, text: str, mode: int, severity: str
) -> None:
    file = tmp_path / "dagster.yaml"
    file.write_text(text, "utf-8")
    file.chmod(mode)
    found = diagnosis.check_secrets([file, tmp_path / "gone.yaml"])
    assert found.severity == severity
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("current", "is_known", "severity"),
    [("0025", True, "ok"), ("0003", True, "warning"), ("0099", False, "problem"), (None, False, "problem")],
)
def test_check_schema__revision__is_compared(current: str | None, *, is_known: bool, severity: str) -> None:
    assert diagnosis.check_schema(current, "0025", is_known=is_known).severity == severity


@pytest.mark.parametrize(("milliseconds", "severity"), [(200, "ok"), (201, "warning")])
def test_check_latency__slow_database__is_a_warning(milliseconds: int, severity: str) -> None:
    assert diagnosis.check_latency(timedelta(milliseconds=milliseconds)).severity == severity


@pytest.mark.parametrize(
    ("database", "arrival", "severity"),
    [
        (None, None, "ok"),
        (5, 5, "ok"),
        (6, None, "problem"),
        (-6, None, "problem"),
        (None, 6, "problem"),
        (None, -86_400, "ok"),
    ],
)
def test_check_clock__other_clocks__are_compared(database: int | None, arrival: int | None, severity: str) -> None:
    moments = [None if each is None else NOW + timedelta(seconds=each) for each in (database, arrival)]
    assert diagnosis.check_clock(NOW, *moments).severity == severity


@pytest.mark.parametrize(("minutes", "severity"), [(5, "ok"), (6, "warning")])
def test_check_heartbeats__newest_of_all_daemons__counts(minutes: int, severity: str) -> None:
    reported = {"SENSOR": NOW - timedelta(minutes=minutes), "SCHEDULER": NOW - timedelta(days=1)}
    assert diagnosis.check_heartbeats(reported, NOW).severity == severity


def test_check_heartbeats__none__is_a_warning() -> None:
    assert diagnosis.check_heartbeats({}, NOW).severity == "warning"
