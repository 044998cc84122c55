"""Which errors of a database are outages, what SQLite raises in one, and who waits."""

import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, exc, text

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.errors import (
    RegistryBusy,
    RegistryFull,
    RegistryReadOnly,
    RegistryUnavailable,
    RegistryUnreachable,
)
from experiment_pipeline.registry import outages
from experiment_pipeline.registry.engine import migrate, open_engine, reading, writing
from experiment_pipeline.registry.outages import Breaker, outage_of
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.registry.wait_limits import WaitLimits
from tests.registry.conftest import ACTOR, NOW

IMPATIENT = WaitLimits(lock=0.05, pause=60)
FILL = text("INSERT INTO environments (key, name, created_at) VALUES (:key, :name, '2026-01-01')")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A registry's file, its schema up to date."""
    path = tmp_path / "registry.sqlite"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{file}", IMPATIENT)
    yield opened
    opened.dispose()


def _fill(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # no less than there are
        for number in range(1_000):
            connection.execute(FILL, {"key": f"k{number}", "name": "x" * 4_000})


def _of_postgresql(state: str | None, kind: type[psycopg.Error] = psycopg.OperationalError) -> exc.DBAPIError:
    error = kind("it says why\nand more")
    error.sqlstate = state
    return exc.DBAPIError("select", {}, error) if state else exc.OperationalError("select", {}, error)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (None, RegistryUnreachable), ("08006", RegistryUnreachable), ("57P01", RegistryUnreachable),
        ("57P02", RegistryUnreachable), ("57P03", RegistryUnreachable), ("25P03", RegistryUnreachable),
        ("58030", RegistryUnreachable), ("55P03", RegistryBusy), ("57014", RegistryBusy), ("40001", RegistryBusy),
        ("40P01", RegistryBusy), ("53300", RegistryBusy), ("53100", RegistryFull), ("25006", RegistryReadOnly),
    ],
)  # fmt: skip
def test_outage_of__states_of_postgresql(state: str | None, kind: type[RegistryUnavailable]) -> None:
    found = outage_of(_of_postgresql(state))
    assert type(found) is kind
    assert found.cause == "it says why"


@pytest.mark.parametrize("state", ["42P01", "23505", "22001", "28P01", "XX000"])
def test_outage_of__mistakes__are_none(state: str) -> None:
    assert outage_of(_of_postgresql(state)) is None
    assert outage_of(ValueError("no database")) is None


def test_sqlite__locked__reads_go_on_and_writes_are_refused(file: Path, engine: Engine) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RegistryBusy, match="locked"), writing(engine):
        pytest.fail("entered")
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM environments")) == 0
    other.close()


def test_sqlite__locked__the_next_writers_do_not_wait(file: Path) -> None:
    engine = open_engine(f"sqlite:///{file}", WaitLimits(lock=0.05, pause=60))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RegistryBusy), writing(engine):
        pytest.fail("entered")
    other.execute("ROLLBACK")
    other.close()
    with pytest.raises(RegistryBusy), writing(engine):  # without having asked: nobody has the lock any more
        pytest.fail("entered")
    engine.dispose()


def test_sqlite__full__is_refused_and_reads_go_on(engine: Engine) -> None:
    with pytest.raises(RegistryFull):
        _fill(engine)
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM environments")) == 0


def test_sqlite__read_only__is_refused_and_reads_go_on(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = open_engine(f"sqlite:///file:{file}?mode=ro&uri=true", IMPATIENT)
    with pytest.raises(RegistryReadOnly), writing(engine) as connection:
        connection.execute(FILL, {"key": "a", "name": "A"})
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM environments")) == 0
    engine.dispose()
    assert not Path("file:").exists()  # the folder of a `file:` URI is that of its path


def test_sqlite__file_that_cannot_be_opened__is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "registry.sqlite").mkdir()
    engine = open_engine(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    with pytest.raises(RegistryUnreachable, match="unable to open"), reading(engine):
        pytest.fail("entered")


def test_open__registry_that_may_be_away__is_migrated_by_the_first_call_that_reaches_it(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    path.mkdir()
    with pytest.raises(RegistryUnreachable):
        Registry.open(f"sqlite:///{path}")
    registry = Registry.open(f"sqlite:///{path}", may_be_away=True)
    with pytest.raises(RegistryUnreachable):
        registry.environments.list()
    path.rmdir()
    assert registry.environments.list() == []
    assert registry.is_current()
    registry.close()


def test_authenticate__registry_that_takes_no_changes__opens_what_the_key_opens(file: Path) -> None:
    registry = Registry.open(f"sqlite:///{file}", IMPATIENT)
    registry.environments.create("production", "Production", actor=ACTOR, now=NOW)
    _, token = registry.keys.create("production", Scope.READ, "reader", actor=ACTOR, now=NOW)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    key = registry.keys.authenticate(token, NOW)
    assert key is not None
    assert key.last_used_at is None
    other.close()
    registry.close()


def test_writers__more_than_may_wait__are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "WRITERS", 0)
    engine = open_engine(f"sqlite:///{file}", IMPATIENT)
    with pytest.raises(RegistryBusy, match="other changes wait"), writing(engine):
        pytest.fail("entered")
    engine.dispose()


def test_breaker__in_a_pause__refuses_and_then_lets_one_caller_through(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    breaker = Breaker(1.0)
    breaker.require_closed()
    breaker.open(RegistryUnreachable("refused"))
    with pytest.raises(RegistryUnreachable, match="refused"):
        breaker.require_closed()
    now[0] += 1.0
    breaker.require_closed()
    with pytest.raises(RegistryUnreachable):
        breaker.require_closed()
    breaker.close()
    breaker.require_closed()


def test_wait_limits__of_requests__are_a_fraction_of_those_of_runs() -> None:
    requests, runs = WaitLimits.of_requests(timedelta(seconds=1)), WaitLimits()
    assert (requests.lock, requests.answer, requests.pause) == (1.0, 3.0, 1.0)
    assert (runs.lock, runs.pause) == (30.0, 0.0)
