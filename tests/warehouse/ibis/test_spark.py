"""A folder of events as Spark reads it, and what is said of one that cannot be read (rules N5, N7)."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.warehouse.ibis.in_place import InPlaceAnalysis, open_engine
from experiment_pipeline.warehouse.limits import DEFAULT_LIMITS, WarehouseLimits
from tests.warehouse.contract import HOUR, STARTED_AT, scope
from tests.warehouse.ibis.conftest import LOADED_AT, SCHEMA, Row

pytestmark = pytest.mark.usefixtures("spark_folder")
SCOPE = scope(data_version=int(LOADED_AT.timestamp() * 1_000_000))


def url(folder: Path) -> ConnectionUrl:
    return ConnectionUrl(f"spark+local://{folder}?memory=1g&partitions=2", "test")


def frame(*identifiers: str, environment: str = "prod") -> pl.DataFrame:
    exposed: list[Row] = [
        (environment, "$flag_exposure", "checkout", each, "b", STARTED_AT + HOUR, None, None, None, LOADED_AT)
        for each in identifiers
    ]
    return pl.DataFrame(exposed, schema=SCHEMA, orient="row")


def identities(folder: Path) -> dict[str, int]:
    engine = open_engine(url(folder), DEFAULT_LIMITS)
    try:
        return InPlaceAnalysis(engine).variant_identities(SCOPE)
    finally:
        engine.close()


def test_delta_table__is_read_as_of_its_newest_version(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    write_deltalake(folder, frame("1", "2"), partition_by=["environment_key"])
    write_deltalake(folder, frame("3", "4", "5"), mode="overwrite", partition_by=["environment_key"])
    write_deltalake(folder, frame("6", environment="7"), mode="append", partition_by=["environment_key"])
    assert identities(folder) == {"b": 3}


def test_partitions__of_the_table_that_init_prints__are_columns__n5(tmp_path: Path) -> None:
    keys = ["environment_key", "event"]
    for environment in ("prod", "1"):
        part = frame("1", "2", environment=environment)
        place = tmp_path / f"environment_key={environment}" / "event=$flag_exposure"
        place.mkdir(parents=True)
        part.drop(keys).write_parquet(place / "0.parquet")
    engine = open_engine(url(tmp_path), DEFAULT_LIMITS)
    in_place = InPlaceAnalysis(engine)
    assert in_place.variant_identities(SCOPE) == {"b": 2}
    of_one = (tmp_path / "environment_key=prod/event=$flag_exposure/0.parquet").stat().st_size
    assert (in_place.cost.read_rows, in_place.cost.read_bytes) == (2, of_one)
    assert "PartitionFilters: [isnotnull(environment_key" in engine.plan(
        "select count(*) from events where environment_key = 'prod'"
    )


def test_two_folders__at_once__are_two_tables(tmp_path: Path) -> None:
    for name, who in (("a", "1"), ("b", "12")):
        (tmp_path / name).mkdir()
        frame(*who).write_parquet(tmp_path / name / "events.parquet")
    engines = [open_engine(url(tmp_path / name), DEFAULT_LIMITS) for name in "ab"]
    assert [InPlaceAnalysis(engine).variant_identities(SCOPE) for engine in engines] == [{"b": 1}, {"b": 2}]


@pytest.mark.parametrize("name", ["spark+local://host/folder", "spark+local:///no/such/folder"])
def test_folder__that_is_none__is_refused__n7(name: str) -> None:
    with pytest.raises(ConfigurationError, match="the folder must be there"):
        open_engine(ConnectionUrl(name, "shop"), DEFAULT_LIMITS)


def test_folder__without_a_parquet_file__is_refused__n7(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no Parquet file"):
        open_engine(url(tmp_path), DEFAULT_LIMITS)


def test_table__without_a_column__says_what_to_do__n7(tmp_path: Path) -> None:
    frame("1").drop("loaded_at").write_parquet(tmp_path / "events.parquet")
    with pytest.raises(ConfigurationError, match="lacks a column: compare it with `warehouse init`"):
        identities(tmp_path)


def test_statement__that_takes_too_long__is_ended__n7(tmp_path: Path) -> None:
    frame("1").write_parquet(tmp_path / "events.parquet")
    engine = open_engine(url(tmp_path), WarehouseLimits(timedelta(milliseconds=500)))
    with pytest.raises(ConfigurationError, match="--timeout"):
        engine.run("select max(one.id % 3 + two.id % 5) as n from range(10000000) one cross join range(1000000) two")
