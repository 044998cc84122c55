"""Schemas of the small frames. A frame is validated before it is written, so the last good one is never lost."""

import math
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from experiment_pipeline.domain.aggregates import (
    Bounds,
    Group,
    MetricAggregates,
    PairAggregate,
    Part,
    QuantileEstimate,
    ValueSummary,
    VariantAggregate,
)
from experiment_pipeline.domain.events import NAME_LIMIT
from experiment_pipeline.domain.exposures import LISTED_VARIANTS, ExposureBucket, UnlistedExposures
from experiment_pipeline.domain.field_types import types_from_stored
from experiment_pipeline.domain.self_check import SelfCheck
from experiment_pipeline.errors import ArtifactMissing

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

Row: TypeAlias = Mapping[str, Any]
ColumnType: TypeAlias = pl.DataType | type[pl.DataType]
MOST, LARGEST = 2**63 - 1, sys.float_info.max


def validated(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame, unchanged, once its types, keys and ranges were checked.

    Args:
        name: of the artifact.
        frame: collected: of a LazyFrame pandera would check the schema and not the data.

    Raises:
        pandera.errors.SchemaErrors: lists every column and row at fault.
        KeyError: no small frame has this name.
    """
    if is_sound(name, frame):
        return frame
    checked: pl.DataFrame = schema(name).validate(frame, lazy=True)
    return checked


def is_sound(name: str, frame: pl.DataFrame) -> bool:
    """Return whether a frame is as `schema` wants it, without saying what is wrong.

    It asks in one query, in a fiftieth of the time, and pandera is not imported where nothing is wrong.
    """
    columns = COLUMNS[name]
    if list(frame.schema.items()) != list(columns.items()) or frame.select(KEYS[name]).is_duplicated().any():
        return False
    conditions = []
    for label, dtype in columns.items():
        if not _may_lack(label, dtype):
            conditions.append(pl.col(label).is_not_null().all())
        if limits := _limits(label, dtype):
            conditions.append(pl.col(label).is_between(*limits).all())  # of what is there; NaN is above every number
    return bool(frame.select(pl.all_horizontal(conditions)).item())


def frame_of(name: str, rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Return a frame of rows with the columns and types of an artifact, also when there are none."""
    return pl.DataFrame(rows, schema=COLUMNS[name])


def listed_exposures(rows: pl.DataFrame, configured: Collection[str]) -> tuple[list[ExposureBucket], UnlistedExposures]:
    """Return what `exposure_buckets` holds of the variants that are listed, and the sum of all others (rule X6).

    Senders choose how many variants there are, and how long their names: the configured ones are listed, and of the
    others the largest that could be variants at all. Everything is counted here, before it becomes an object a row.

    Args:
        rows: the frame.
        configured: keys of the variants that the experiment has.
    """
    counted = rows.filter(~pl.col("quarantined"))
    by_variant = counted.filter(~pl.col("variant").is_in(list(configured))).group_by("variant")
    others = by_variant.agg(pl.col("new_identities").sum())
    largest = (
        others.filter(pl.col("variant").str.len_chars() <= NAME_LIMIT)
        .sort("new_identities", "variant", descending=[True, False])
        .head(LISTED_VARIANTS)
    )
    is_listed = pl.col("variant").is_in([*configured, *largest["variant"]])
    excluded = rows.filter("quarantined").group_by("bucket", "quarantined", maintain_order=True)
    listed = [
        counted.filter(is_listed),
        excluded.agg(pl.col("variant").first(), pl.col("new_identities").sum()).select(rows.columns),
    ]
    rest = counted.filter(~is_listed).group_by("bucket").agg(pl.col("new_identities").sum())
    return (
        [ExposureBucket(**row) for frame in listed for row in frame.iter_rows(named=True)],
        UnlistedExposures(len(others) - len(largest), dict(rest.iter_rows())),
    )


def metric_aggregates(rows: pl.DataFrame) -> list[MetricAggregates]:
    """Return what `variant_aggregates` holds, metric by metric. Moments too large for a float are left out.

    Raises:
        ArtifactMissing: an older version wrote the frame, without a column that is needed now.
    """
    if missing := [name for name in COLUMNS["variant_aggregates"] if name not in rows.columns]:
        raise ArtifactMissing(f"variant_aggregates: stored without {', '.join(missing)}. Materialise it again.")
    of_parts: defaultdict[int, dict[Group | None, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows.iter_rows(named=True):
        of_parts[row["metric_id"]][_group(row)].append(row)
    return [_with_parts(metric_id, parts) for metric_id, parts in of_parts.items()]


def _with_parts(metric_id: int, rows: Mapping[Group | None, Sequence[Row]]) -> MetricAggregates:
    found = {group: _metric_aggregates(metric_id, of_group) for group, of_group in rows.items() if group}
    return replace(
        _metric_aggregates(metric_id, rows.get(None, [])),
        groups={group: each for group, each in found.items() if group.part is not Part.SENSITIVITY},
        sensitivity={group.name: each for group, each in found.items() if group.part is Part.SENSITIVITY},
    )


def _group(row: Row) -> Group | None:
    return None if row["part"] is None else Group(Part(row["part"]), row["name"], row["value"], row["is_other"])


def _metric_aggregates(metric_id: int, rows: Sequence[Row]) -> MetricAggregates:
    """Return the aggregates of one metric, or of one part of it."""

    def counted(name: str) -> dict[str, int]:
        return {row["variant"]: row[name] for row in rows}

    has_x = any(row["mean_x"] is not None for row in rows)
    has_quantile = any(row["quantile"] is not None for row in rows)
    return MetricAggregates(
        metric_id=metric_id,
        by_variant={row["variant"]: _aggregate(row) for row in rows},
        values=counted("values"),
        invalid_values=counted("invalid_values"),
        of_identities={row["variant"]: _value_summary(row) for row in rows},
        identities=counted("identities"),
        joint={row["variant"]: _joint(row) for row in rows} if has_x else {},
        quantiles={row["variant"]: _quantile(row) for row in rows} if has_quantile else {},
        not_mature=counted("not_mature"),
        bounds=_bounds(rows, "cap", "floor", counted("capped"), counted("floored")),
        joint_bounds=_bounds(rows, "cap_x", "floor_x", counted("capped_x"), counted("floored_x")),
        nonzero_x=counted("nonzero_x") if has_x else {},
        with_event=counted("with_event"),
        mixed_fields=types_from_stored(next((row["mixed_fields"] for row in rows), None)),
        self_check=next(filter(None, map(_self_check, rows)), None),
    )


def _self_check(row: Row) -> SelfCheck | None:
    calls, reason = row["split_calls"], row["split_reason"]
    return None if calls is None and reason is None else SelfCheck(calls, reason)


def _joint(row: Row) -> PairAggregate | None:
    moments = [row[name] for name in ("mean_x", "mean", "m2_x", "m2", "c_xy")]
    return None if None in moments else PairAggregate(row["n"], *moments)


def _quantile(row: Row) -> QuantileEstimate | None:
    if row["quantile"] is None:
        return None
    return QuantileEstimate(row["n"], row["quantile"], row["quantile_low"], row["quantile_high"])


def _bounds(
    rows: Sequence[Row], cap: str, floor: str, capped: dict[str, int], floored: dict[str, int]
) -> Bounds | None:
    for row in rows:
        if row[cap] is not None or row[floor] is not None:
            return Bounds(row[cap], row[floor], capped, floored)
    return None


def _aggregate(row: Row) -> VariantAggregate | None:
    if row["mean"] is None or row["m2"] is None:
        return None
    return VariantAggregate(n=row["n"], mean=row["mean"], m2=row["m2"])


def _value_summary(row: Row) -> ValueSummary:
    total = None if row["mean"] is None else row["n"] * row["mean"]
    return ValueSummary(
        nonzero=row["nonzero"],
        with_value=row["with_value"],
        largest=row["largest"],
        total=None if total is None or not math.isfinite(total) else total,
    )


COLUMNS: dict[str, dict[str, ColumnType]] = {
    "exposure_buckets": {
        "bucket": pl.Datetime("us", "UTC"),
        "variant": pl.String,
        "quarantined": pl.Boolean,
        "new_identities": pl.Int64,
    },
    "variant_aggregates": {
        "metric_id": pl.Int64,
        "part": pl.String,
        "name": pl.String,
        "value": pl.String,
        "is_other": pl.Boolean,
        "variant": pl.String,
        "identities": pl.Int64,
        "n": pl.Int64,
        "mean": pl.Float64,
        "m2": pl.Float64,
        "nonzero": pl.Int64,
        "nonzero_x": pl.Int64,
        "with_value": pl.Int64,
        "with_event": pl.Int64,
        "largest": pl.Float64,
        "values": pl.Int64,
        "invalid_values": pl.Int64,
        "not_mature": pl.Int64,
        "mean_x": pl.Float64,
        "m2_x": pl.Float64,
        "c_xy": pl.Float64,
        "cap": pl.Float64,
        "capped": pl.Int64,
        "floor": pl.Float64,
        "floored": pl.Int64,
        "cap_x": pl.Float64,
        "capped_x": pl.Int64,
        "floor_x": pl.Float64,
        "floored_x": pl.Int64,
        "quantile": pl.Float64,
        "quantile_low": pl.Float64,
        "quantile_high": pl.Float64,
        "split_calls": pl.Int64,
        "split_reason": pl.String,
        "mixed_fields": pl.String,
    },
    "srm": {
        "variant": pl.String,
        "identities": pl.Int64,
        "expected_share": pl.Float64,
        "p_value": pl.Float64,
        "anytime_p_value": pl.Float64,
        "reason": pl.String,
    },
    "bayesian_results": {
        "metric_id": pl.Int64,
        "treatment": pl.String,
        "effect": pl.Float64,
        "effect_low": pl.Float64,
        "effect_high": pl.Float64,
        "lift": pl.Float64,
        "lift_low": pl.Float64,
        "lift_high": pl.Float64,
        "chance_to_win": pl.Float64,
        "expected_loss": pl.Float64,
        "reason": pl.String,
    },
}
KEYS = {
    "exposure_buckets": ["bucket", "variant", "quarantined"],
    "variant_aggregates": ["metric_id", "part", "name", "value", "is_other", "variant"],
    "srm": ["variant"],
    "bayesian_results": ["metric_id", "treatment"],
}
COUNTS = {
    "new_identities",
    "identities",
    "n",
    "nonzero",
    "nonzero_x",
    "with_value",
    "with_event",
    "values",
    "invalid_values",
    "not_mature",
    "capped",
    "floored",
    "capped_x",
    "floored_x",
}
NULLABLE = {"reason", "part", "name", "value", "split_calls", "split_reason", "mixed_fields"}
SHARES = {"expected_share", "p_value", "anytime_p_value", "chance_to_win"}
NOT_NEGATIVE = {"m2", "m2_x", "expected_loss"}


def schema(name: str) -> "DataFrameSchema":
    """Return the schema of an artifact: types, keys, and the range of every number, which is never NaN or infinite.

    Raises:
        KeyError: no small frame has this name.
    """
    from pandera.polars import Check, Column, DataFrameSchema  # half a second: only where something is wrong

    def column(label: str, dtype: ColumnType) -> Column:
        limits = _limits(label, dtype)
        return Column(dtype, Check.in_range(*limits) if limits else None, nullable=_may_lack(label, dtype))

    columns = {label: column(label, dtype) for label, dtype in COLUMNS[name].items()}
    return DataFrameSchema(columns, strict=True, ordered=True, unique=KEYS[name], name=name)


def _limits(label: str, dtype: ColumnType) -> tuple[float, float] | None:
    """Return the least and the largest value of a column that has any."""
    if label in COUNTS:
        return 0, MOST
    if label in SHARES:
        return 0, 1
    return (0 if label in NOT_NEGATIVE else -LARGEST, LARGEST) if dtype == pl.Float64 else None


def _may_lack(label: str, dtype: ColumnType) -> bool:
    return label not in COUNTS and (dtype == pl.Float64 or label in NULLABLE)
