"""Schemas of the small frames. A frame is validated before it is written, so the last good one is never lost."""

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema


def validated(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame, unchanged. Raises pandera's SchemaErrors that list every column and row at fault.

    Collected frames only: of a LazyFrame pandera would check the schema and not the data.
    """
    return schema(name).validate(frame, lazy=True)


def schema(name: str) -> "DataFrameSchema":
    """The schema of one artifact. Raises KeyError for an artifact that is no small frame."""
    import pandera.polars as pa  # half a second: only where a frame is written

    count = pa.Column(pl.Int64, pa.Check.ge(0))
    moment = pa.Column(pl.Float64, pa.Check.in_range(0, float("inf"), include_max=False), nullable=True)
    share = pa.Column(pl.Float64, pa.Check.in_range(0, 1), nullable=True)
    number = pa.Column(pl.Float64, pa.Check(is_finite), nullable=True)
    text = pa.Column(pl.String)
    reason = pa.Column(pl.String, nullable=True)
    columns = {
        "exposure_buckets": {
            "bucket": pa.Column(pl.Datetime("us", "UTC")),
            "variant": text,
            "quarantined": pa.Column(pl.Boolean),
            "new_identities": pa.Column(pl.Int64, pa.Check.gt(0)),
        },
        "variant_aggregates": {
            "metric_id": pa.Column(pl.Int64),
            "variant": text,
            "n": count,
            "mean": number,
            "m2": moment,
            "invalid_values": count,
        },
        "srm": {
            "variant": text,
            "identities": count,
            "expected_share": share,
            "chi2": moment,
            "p_value": share,
            "anytime_p_value": share,
            "reason": reason,
        },
        "bayesian_results": {
            "metric_id": pa.Column(pl.Int64),
            "variant": text,
            "effect": number,
            "effect_low": number,
            "effect_high": number,
            "lift": number,
            "lift_low": number,
            "lift_high": number,
            "chance_to_win": share,
            "expected_loss": moment,
            "reason": reason,
        },
    }
    keys = {
        "exposure_buckets": ["bucket", "variant", "quarantined"],
        "variant_aggregates": ["metric_id", "variant"],
        "srm": ["variant"],
        "bayesian_results": ["metric_id", "variant"],
    }
    return pa.DataFrameSchema(columns[name], strict=True, ordered=True, unique=keys[name], name=name)
