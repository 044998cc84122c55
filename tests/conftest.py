"""What every test stands on: a SQLite file or a real PostgreSQL, embedded or named by a variable, and no deadlines."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from sqlalchemy import create_engine, make_url, text

from experiment_pipeline.registry.engine import migrate, open_engine
from experiment_pipeline.storage.object_path import store_of
from tests.object_storage import ObjectServer, object_server
from tests.payload_schema import check_every_payload
from tests.postgres_server import postgres_server
from tests.quick_storage import migrated_database, quick_storage, storage_as_shipped

check_every_payload()  # before any other module imports what makes payloads: other conftests do

TEST_POSTGRES_URL = "EXPERIMENT_PIPELINE_TEST_POSTGRES_URL"

# Looking for garbage among the million objects that imports and tests leave would take a tenth of the suite's time.
gc.set_threshold(50_000, 20, 20)

hypothesis.settings.register_profile("no clock", deadline=None)  # a busy machine breaks no rule
hypothesis.settings.load_profile("no clock")


def pytest_collection_finish() -> None:
    """Leave what is imported and collected out of every search for garbage from now on."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let go of it at the end: extension modules would complain of leaks."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _quick_storage() -> Iterator[None]:
    """Registries are copied instead of migrated, and nothing waits for the disk."""
    with quick_storage():
        yield


@pytest.fixture(name="storage_as_shipped")
def _storage_as_shipped() -> Iterator[None]:
    """Registries that a test opens are migrated and synced as elsewhere."""
    with storage_as_shipped():
        yield


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server's URL whose user may create databases: one server per test worker."""
    given = os.environ.get(TEST_POSTGRES_URL)
    if given:
        yield given
        return
    with postgres_server() as server:
        administer(server.url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")  # as `quick_storage`
        yield server.url


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that every test's own is copied from."""
    name = f"template_{uuid4().hex}"
    administer(postgres_url, f"CREATE DATABASE {name}")
    engine = open_engine(_database_url(postgres_url, name))
    migrate(engine)
    engine.dispose()
    yield name
    administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def shared_object_server() -> Iterator[ObjectServer]:
    """An S3-compatible server, one per test worker."""
    with object_server() as server:
        yield server


@pytest.fixture
def object_storage(shared_object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a prefix of a test's own; the process has the variables of its server."""
    for name, value in shared_object_server.environment.items():
        monkeypatch.setenv(name, value)
    store_of.cache_clear()
    return f"{shared_object_server.bucket}/{uuid4().hex}"


MakeDatabase = Callable[[str], str]


@pytest.fixture
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeDatabase]:
    """Make an empty database of a kind, `sqlite` or `postgresql`, and return its URL."""
    made: list[str] = []

    def make(kind: str) -> str:
        name = f"test_{uuid4().hex}"
        if kind == "sqlite":
            return f"sqlite:///{tmp_path / name}.sqlite"
        server = request.getfixturevalue("postgres_url")
        administer(server, f"CREATE DATABASE {name}")
        made.append(name)
        return _database_url(server, name)

    yield make
    for name in made:
        administer(request.getfixturevalue("postgres_url"), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty registry of the test's own."""
    with own_database(request, tmp_path) as url:
        yield url


@contextmanager
def own_database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """An empty registry in a database of the kind that the fixture's parameter names, until the block ends."""
    if request.param == "sqlite":
        yield make_registry(folder / "registry.sqlite")
        return
    server, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_template")
    name = f"test_{uuid4().hex}"
    administer(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _database_url(server, name)
    administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def make_registry(file: Path) -> str:
    """Make an empty registry in a SQLite file, and return its URL: a copy takes a hundredth of what migrating takes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(migrated_database())
    return f"sqlite:///{file}"


def administer(server: str, *statements: str) -> None:
    """Execute statements in a database, each in a transaction of its own."""
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def _database_url(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)
