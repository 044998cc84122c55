"""Spark in this process as the engine, over a folder of events: Parquet files, or a Delta table (rules N5, N7).

One JVM serves the process. Each connection is a session of it, in which the table of events is a view of the folder.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import uuid4

import sqlglot
from sqlglot import exp

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.warehouse.ibis.engine import Answer, Dialect, Engine
from experiment_pipeline.warehouse.ibis.properties import PropertySql
from experiment_pipeline.warehouse.limits import WarehouseLimits

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AT = "try_variant_get(try_parse_json({column}), concat('$'{names}), '{type}')"
KIND = f"schema_of_variant({AT.replace('{type}', 'variant')})"
PROPERTIES = PropertySql(
    name=""", if(instr({name}, '"') = 0, concat('["', {name}, '"]'), concat('[\\'', {name}, '\\']'))""",
    kind=(
        f"case when {KIND} = 'STRING' then 'string' when {KIND} = 'BOOLEAN' then 'boolean'"
        f" when {KIND} like 'OBJECT%' then 'object' when {KIND} like 'ARRAY%' then 'array'"
        f" when {KIND} in ('BIGINT', 'DOUBLE') or {KIND} like 'DECIMAL%' then 'number' end"
    ),
    text=(
        f"case when not ({KIND} like 'OBJECT%' or {KIND} like 'ARRAY%' or {KIND} = 'VOID')"
        f" then {AT.replace('{type}', 'string')} end"
    ),
    number=(
        f"case when {KIND} in ('BIGINT', 'DOUBLE') or {KIND} like 'DECIMAL%' then {AT.replace('{type}', 'double')} end"
    ),
)
SPARK = Dialect("spark", compiled_as="databricks", properties=PROPERTIES)
TABLE = "events"
AGAIN = 1  # seconds
DELETION_VECTORS = "deletionVectors"
OPTIONS = {"memory": "spark.driver.memory", "partitions": "spark.sql.shuffle.partitions"}
SETTINGS = {
    "spark.master": "local[*]",
    "spark.app.name": "experiment-pipeline",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.log.level": "OFF",  # what it warns of is raised as well
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",  # an environment "1" is a text
}
REMEDIES = {
    "TABLE_OR_VIEW_NOT_FOUND": "There is no table of events: create it with the SQL of `warehouse init`.",
    "UNRESOLVED_COLUMN": "The table of events lacks a column: compare it with `warehouse init`.",
    "UNABLE_TO_INFER_SCHEMA": "The folder has no Parquet file.",
    "OutOfMemoryError": "Spark's memory is too small for this statement: add ?memory=8g to the URL.",
    "Permission denied": "The account may not read the folder.",
    "cancelled": "The statement took too long: raise EXPERIMENT_PIPELINE_WAREHOUSE_TIMEOUT, or --timeout.",
}


def open_spark(url: ConnectionUrl, limits: WarehouseLimits) -> Engine:
    """Start Spark in this process unless it runs, and read a folder as the table of events.

    Args:
        url: `spark+local:///FOLDER?memory=4g&partitions=64`: what the JVM may take, as its first connection says, and
            into how many parts a shuffle by identity divides the rows (200; few rows are put together again).
        limits: of its statements.

    Raises:
        ConfigurationError: there is no such folder, it has no events, or pyspark or Java is not installed.
    """
    needed = {"the Python package pyspark": find_spec("pyspark"), "Java 17 or newer": which("java")}
    if missing := [name for name, found in needed.items() if not found]:
        raise url.refused(f"spark+local:// needs {' and '.join(missing)}.")
    folder = Path(unquote(url.parts.path))
    if url.parts.netloc or not folder.is_dir():
        raise url.refused("Its URL must be spark+local:///FOLDER, and the folder must be there.")
    with _failing(url):
        session = _session(url)
        _table(session, url, folder).createOrReplaceTempView(TABLE)

    def run(sql: str) -> Answer:
        if not isinstance(sqlglot.parse_one(sql, dialect=SPARK.sql), exp.Query):
            raise url.refused("The connection is read-only: it runs queries alone.")
        with _failing(url), _ended_after(session, limits.timeout):
            frame = session.sql(sql)
            rows = [row.asDict() for row in frame.collect()]
            return Answer(rows, *_read(frame._jdf.queryExecution().executedPlan()))  # noqa: SLF001

    def plan(sql: str) -> str:
        with _failing(url):
            return str(session.sql(f"explain formatted {sql}").collect()[0][0])

    def close() -> None:
        session.catalog.dropTempView(TABLE)

    return Engine(SPARK, run, plan, close)


def _session(url: ConnectionUrl) -> "SparkSession":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of pandas, of which no frame is made
        from pyspark.sql import SparkSession

        given = {setting: url.options[name] for name, setting in OPTIONS.items() if name in url.options}
        builder = SparkSession.builder.config(map=SETTINGS | given)
        logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
        return builder.getOrCreate().newSession()


def _table(session: "SparkSession", url: ConnectionUrl, folder: Path) -> "DataFrame":
    """Return the rows of a folder: all its Parquet files, or those of the newest version of a Delta table."""
    if not (folder / "_delta_log").is_dir():
        return session.read.parquet(str(folder))
    from deltalake import DeltaTable

    table = DeltaTable(folder)
    if DELETION_VECTORS in (table.protocol().reader_features or []):
        raise url.refused(
            "Its Delta table has deletion vectors, which are not read: run `reorg table ... apply (purge)`."
        )
    files = table.file_uris()
    if not files:
        raise url.refused("Its Delta table has no file yet.")
    return session.read.option("basePath", str(folder)).parquet(*files)


def _read(plan: Any) -> tuple[int, int]:
    """Return the rows that the scans of a plan gave, and the bytes of the files that they read."""
    name = plan.getClass().getSimpleName()
    if name == "AdaptiveSparkPlanExec":
        return _read(plan.executedPlan())
    if name.endswith("QueryStageExec"):
        return _read(plan.plan())
    if name == "FileSourceScanExec":
        metrics = plan.metrics()
        return metrics.apply("numOutputRows").value(), metrics.apply("filesSize").value()
    children = plan.children()
    read = [_read(children.apply(at)) for at in range(children.size())]
    return sum(rows for rows, _ in read), sum(size for _, size in read)


@contextmanager
def _ended_after(session: "SparkSession", timeout: timedelta) -> Iterator[None]:
    """End what runs within when it has run for so long: a statement is several jobs, of which each may begin later."""
    context, tag, is_over = session.sparkContext, uuid4().hex, Event()

    def end() -> None:
        is_over.wait(timeout.total_seconds())
        while not is_over.is_set():
            context.cancelJobsWithTag(tag)
            is_over.wait(AGAIN)

    context.addJobTag(tag)
    watch = Thread(target=end, daemon=True)
    watch.start()
    try:
        yield
    finally:
        is_over.set()
        watch.join()
        context.removeJobTag(tag)


@contextmanager
def _failing(url: ConnectionUrl) -> Iterator[None]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        said = str(error)
        remedy = next((told for code, told in REMEDIES.items() if code in said), "")
        raise url.refused(f"{url.told(said)} {remedy}".rstrip()) from None
