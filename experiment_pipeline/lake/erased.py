"""Erased identities at ingestion: what a retry or an overlap brings of them again is left out (rule E6)."""

from datetime import timedelta

import polars as pl
from duckdb import DuckDBPyConnection

from experiment_pipeline.domain.erasures import ErasedIdentities
from experiment_pipeline.domain.events import EPOCH, LINK_EVENT
from experiment_pipeline.lake.judging import load, sql

MICROSECOND = timedelta(microseconds=1)


def drop_erased(connection: DuckDBPyConnection, erased: ErasedIdentities) -> int:
    """Drop a batch's records of erased identities, judged good or bad; return how many there were.

    The identifiers of the batch are hashed only where something was erased in an environment of the batch.
    """
    rows = [(key, digest, (moment - EPOCH) // MICROSECOND) for (key, digest), moment in erased.moments.items()]
    if not rows:
        return 0
    schema = {"environment_key": pl.String, "digest": pl.String, "before_us": pl.Int64}
    load(connection, "erased", pl.DataFrame(rows, schema=schema, orient="row"))
    inner, outer = erased.pads
    connection.execute(sql("erased_records"), {"inner": inner, "outer": outer, "link_event": LINK_EVENT})
    ((found,),) = connection.execute("select count(*) from erased_records").fetchall()
    if found:
        connection.execute(sql("drop_erased"))
    return int(found)
