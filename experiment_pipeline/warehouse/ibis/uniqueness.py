"""Rows that are declared unique: their duplicates are not removed, and a sample of them is checked (rule N2)."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.warehouse.ibis.events import EVENT_KEY, read_events

SAMPLED = timedelta(days=1)  # the end of the window, which is in few partitions
SETTING = "EXPERIMENT_PIPELINE_WAREHOUSE_UNIQUE_ROWS"


def sampled_rows(scope: AnalysisScope, metrics: Sequence[Metric]) -> Any:
    """Return `n` rows and `events` of the metrics in the last day of a scope; there are as many where rows are unique.

    Args:
        scope: of the analysis.
        metrics: one or more.
    """
    names = {name for metric in metrics for name in metric.event_names}
    start = max(scope.window.started_at, scope.window.as_of - SAMPLED)
    rows = read_events(scope.environment_key, names, start, scope.window.as_of, scope.data_version)
    events = rows.group_by(*EVENT_KEY).agg(n=rows.count())
    return events.agg(n=events.n.sum(), events=events.count())


def require_unique(sampled: Mapping[str, Any]) -> None:
    """Refuse to compute over rows that are declared unique and are not.

    Args:
        sampled: the row of `sampled_rows`.

    Raises:
        ConfigurationError: some of the sampled events have several rows.
    """
    rows, events = int(sampled["n"] or 0), int(sampled["events"] or 0)
    if rows > events:
        raise ConfigurationError.of(
            SETTING,
            f"rows are declared unique, but of {rows:,} rows of the last day {rows - events:,} are of events that have "
            "another one (rule E4). Set it to false, and duplicates are removed.",
        )
