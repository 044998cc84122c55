"""A PostgreSQL server of any defaults, one that is silent, locked or read-only, and one of another encoding."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, Engine, make_url, text

from experiment_pipeline.cli.main import main
from experiment_pipeline.errors import ConfigurationError, RegistryBusy, RegistryReadOnly, RegistryUnreachable
from experiment_pipeline.registry.engine import migrate, open_engine, reading, writing
from experiment_pipeline.registry.postgres import PING_SECONDS, BoundedConnection
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.registry.wait_limits import WaitLimits
from experiment_pipeline.settings import PREFIX
from tests.cli.conftest import MANIFEST
from tests.conftest import administer
from tests.postgres_server import Network, socket_of

DEFAULTS = {  # of a database: its own value, and the one that the registry relies on
    "DateStyle": ("German, DMY", "ISO, YMD"),
    "IntervalStyle": ("iso_8601", "postgres"),
    "TimeZone": ("Asia/Kathmandu", "UTC"),
    "bytea_output": ("escape", "hex"),
    "client_encoding": ("LATIN1", "UTF8"),
    "default_transaction_isolation": ("serializable", "read committed"),
    "default_transaction_deferrable": ("on", "off"),
    "extra_float_digits": ("-5", "3"),
    "idle_in_transaction_session_timeout": ("1s", "1min"),
    "idle_session_timeout": ("1s", "0"),
    "lock_timeout": ("1s", "30s"),
    "search_path": ("elsewhere, public", "public"),
    "standard_conforming_strings": ("off", "on"),
    "statement_timeout": ("1s", "40s"),
    "synchronous_commit": ("off", "on"),
    "transaction_timeout": ("1s", "0"),
}
IMPATIENT = WaitLimits(lock=0.05)  # an answer may take its time where the machine is busy
ADD = text("INSERT INTO environments (key, name, created_at) VALUES ('added', 'Added', now())")
COUNT = text("SELECT count(*) FROM environments")


@pytest.fixture(params=["postgresql"])
def database_url(database_url: str) -> str:
    """The database of a test, on PostgreSQL alone."""
    return database_url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = open_engine(database_url, IMPATIENT)
    yield opened
    opened.dispose()


def _name(url: str) -> str:
    return make_url(url).database or ""


def _count_after(engine: Engine, event: Callable[[Connection], None]) -> None:
    """Read once more in a transaction, after something happened to its connection."""
    with reading(engine) as connection:
        event(connection)
        connection.scalar(COUNT)


def test_server__whatever_its_defaults_are__they_change_nothing(
    database_url: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = _name(database_url)
    administer(database_url, "CREATE SCHEMA elsewhere", "CREATE TABLE elsewhere.environments (key text)")
    for setting, (value, _) in DEFAULTS.items():
        administer(postgres_url, f"ALTER DATABASE {name} SET {setting} = {value if ',' in value else repr(value)}")
    engine = open_engine(database_url)
    with writing(engine) as connection:
        found = {setting: connection.scalar(text(f"SHOW {setting}")) for setting in DEFAULTS}
    with reading(engine) as connection:
        assert connection.scalar(text("SHOW transaction_isolation")) == "repeatable read"
    engine.dispose()
    assert found == {setting: wanted for setting, (_, wanted) in DEFAULTS.items()}

    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path))
    monkeypatch.setenv(f"{PREFIX}REGISTRY_URL", database_url)
    manifest, landed = tmp_path / "manifest.yaml", tmp_path / "landing" / "env_key=production" / "a.jsonl"
    manifest.write_text(MANIFEST.replace("Checkout", "Kasse – Größe"), "utf-8")
    landed.parent.mkdir(parents=True)
    landed.write_text('{"event": "purchase", "identifier": "a", "timestamp": "2026-03-02T12:00:00Z"}\n')
    for command in (("apply", manifest), ("lake", "ingest"), ("experiments", "show", "checkout"), ("audit", "list")):
        ran = CliRunner().invoke(main, list(map(str, command)))
        assert (ran.exit_code, ran.exception) == (0, None), ran.output
    registry = Registry.open(database_url)
    (experiment,) = registry.experiments.list("production")
    assert experiment.name == "Kasse – Größe"
    assert experiment.started_at is not None
    assert abs((datetime.now(UTC) - experiment.started_at).total_seconds()) < 3_600
    registry.close()


def test_synchronous_commit__stronger_than_on__stays(database_url: str, postgres_url: str) -> None:
    administer(postgres_url, f"ALTER DATABASE {_name(database_url)} SET synchronous_commit = 'remote_apply'")
    engine = open_engine(database_url)
    with reading(engine) as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "remote_apply"
    engine.dispose()


def test_search_path__that_the_url_names__is_used(database_url: str) -> None:
    administer(database_url, "CREATE SCHEMA elsewhere")
    url = make_url(database_url).update_query_dict({"options": "-csearch_path=elsewhere"})
    engine = open_engine(url.render_as_string(hide_password=False))
    migrate(engine)
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM elsewhere.environments")) == 0
    engine.dispose()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_open__database_of_another_encoding__is_refused(postgres_url: str, encoding: str) -> None:
    name = f"encoded_{encoding.lower()}"
    administer(postgres_url, f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(ConfigurationError, match=f"is {encoding}; it must be UTF8"):
            Registry.open(make_url(postgres_url).set(database=name).render_as_string(hide_password=False))
    finally:
        administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_server__that_falls_silent__is_unreachable_and_the_connection_is_not_used_again(database_url: str) -> None:
    network = Network(socket_of(database_url))
    engine = open_engine(network.url_of(_name(database_url)), WaitLimits(lock=0.05, answer=0.5))
    with pytest.raises(RegistryUnreachable, match="not answered for"):
        _count_after(engine, lambda _: network.cut())
    network.mend()
    with reading(engine) as connection:
        assert connection.scalar(COUNT) == 0
    engine.dispose()
    network.close()


def test_lock__of_a_row__keeps_out_its_writers_alone(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(ADD)
    with writing(engine) as connection:
        connection.execute(text("UPDATE environments SET name = 'Mine'"))
        with pytest.raises(RegistryBusy, match="lock timeout"), writing(engine) as other:
            other.execute(text("UPDATE environments SET name = 'Theirs'"))
        with reading(engine) as other:
            assert other.scalar(text("SELECT name FROM environments")) == "Added"
        with writing(engine) as other:
            other.execute(text("INSERT INTO environments (key, name, created_at) VALUES ('b', 'B', now())"))


def test_server__that_is_slow__is_not_away_for_runs_and_commands(database_url: str) -> None:
    network = Network(socket_of(database_url))
    engine = open_engine(network.url_of(_name(database_url)))
    connection = engine.raw_connection()
    driver = connection.driver_connection
    assert isinstance(driver, BoundedConnection)
    driver.autocommit = True  # as a connection is asked whether it is still there
    network.cut()
    Timer(PING_SECONDS + 0.3, network.mend).start()
    assert driver.execute("SELECT 1").fetchone() == (1,)
    driver.autocommit = False
    connection.close()
    engine.dispose()
    network.close()


def test_statement__that_takes_too_long__is_busy(database_url: str) -> None:
    engine = open_engine(database_url, WaitLimits(answer=0.5))
    with pytest.raises(RegistryBusy, match="statement timeout"), reading(engine) as connection:
        connection.execute(text("SELECT pg_sleep(60)"))
    engine.dispose()


def test_server__that_became_read_only__takes_changes_as_soon_as_it_is_not(
    engine: Engine, database_url: str, postgres_url: str
) -> None:
    name = _name(database_url)
    administer(postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(RegistryReadOnly, match="read-only transaction"), writing(engine) as connection:
        connection.execute(ADD)
    with reading(engine) as connection:
        assert connection.scalar(COUNT) == 0
    administer(postgres_url, f"ALTER DATABASE {name} RESET default_transaction_read_only")
    with pytest.raises(RegistryReadOnly), writing(engine) as connection:
        connection.execute(ADD)  # on the connection of before
    with writing(engine) as connection:
        connection.execute(ADD)


def test_session__that_the_server_ends__is_unreachable_and_the_next_call_works(
    engine: Engine, postgres_url: str
) -> None:
    def end(connection: Connection) -> None:
        process = connection.scalar(text("SELECT pg_backend_pid()"))
        administer(postgres_url, f"SELECT pg_terminate_backend({process})")

    with pytest.raises(RegistryUnreachable):
        _count_after(engine, end)
    with reading(engine) as connection:
        assert connection.scalar(COUNT) == 0
