"""Freshness of a component's tables: a check of the results for each table that says how old it may be (P7)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import dagster as dg

from experiment_pipeline.automation.component.fields import TableFields
from experiment_pipeline.automation.component.manifest import table_freshness
from experiment_pipeline.times import format_duration, iso_utc


def freshness_specs(tables: Sequence[TableFields], asset: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return the spec of the check of each table that has a freshness; it is of no partition."""
    return [
        dg.AssetCheckSpec(
            check_name(table), asset=asset, description=f"The newest event of {table.name} is not older than it may be."
        )
        for table in tables
        if table.freshness is not None
    ]


def judge_freshness(
    tables: Sequence[TableFields], newest: Mapping[str, datetime], asset: dg.AssetKey, now: datetime
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the outcome of the check of each table that has a freshness; it warns.

    Args:
        tables: of the component.
        newest: the time of the newest event of each table, UTC; of a table that has none it is left out.
        asset: of the results.
        now: UTC.
    """
    for table in tables:
        if table.freshness is None:
            continue
        allowed, at = table_freshness(table), newest.get(table.name)
        is_late = at is None or now - at > allowed
        told = "It has no event." if at is None else f"The newest event is of {iso_utc(at)}."
        yield dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=check_name(table),
            passed=not is_late,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{told} {format_duration(allowed)} is allowed." if is_late else told,
            metadata={} if at is None else {"newest_event": dg.MetadataValue.timestamp(at)},
            blocking=False,
        )


def check_name(table: TableFields) -> str:
    """Return the name of a table's check."""
    return f"{table.name}_is_fresh"
