"""Counts of the rows that an analysis reads where events lie, and of those that it leaves out, by reason (N4, N10)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import ibis

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.events import EXPOSURE_EVENT, Reason
from experiment_pipeline.warehouse.base import RowCounts
from experiment_pipeline.warehouse.ibis.events import DAY_MS, OLDEST_MS, event_rows, in_scope

KEPT = ""  # the reason of rows that are not left out


def row_counts(found: Sequence[Mapping[str, Any]]) -> RowCounts:
    """Return the counts that the rows of `counted_rows` hold."""
    by_reason = {str(row["reason"]): int(row["n"]) for row in found}
    rejected = {reason: count for reason, count in sorted(by_reason.items()) if reason != KEPT}
    return RowCounts(sum(by_reason.values()), rejected)


def counted_rows(scope: AnalysisScope, events: Collection[str]) -> Any:
    """Return `reason` and `n` of the rows of a scope: of its flag's exposures, and of these events."""
    names = {EXPOSURE_EVENT, *events}
    window, rows = scope.window, event_rows()
    read = in_scope(rows, scope.environment_key, names, window.started_at, window.as_of, scope.data_version)
    flag = read.feature_name.fill_null("")
    of_flag = read.filter((read.event != EXPOSURE_EVENT) | flag.isin(["", scope.feature or ""]))
    return of_flag.mutate(reason=_reason(of_flag)).group_by("reason").agg(n=ibis._.count())


def _reason(rows: Any) -> Any:
    """Return the first reason for which a row is left out, as rule E3 names it."""
    is_exposure = rows.event == EXPOSURE_EVENT
    return ibis.cases(
        (rows.identifier == "", Reason.EMPTY.of("identifier")),
        (~rows.lengths_hold, Reason.TOO_LONG.value),
        (rows.at_ms < OLDEST_MS, Reason.TIMESTAMP_TOO_OLD.value),
        (rows.at_ms * 1000 > rows.loaded_us + DAY_MS * 1000, Reason.TIMESTAMP_IN_FUTURE.value),
        (is_exposure & (rows.feature_name.fill_null("") == ""), Reason.MISSING_FIELD.of("feature_name")),
        (is_exposure & (rows.value.fill_null("") == ""), Reason.MISSING_FIELD.of("value")),
        else_=KEPT,
    )
