"""Checks of a source's asset: they warn, and never keep rows from landing; ingestion judges each row (rule D4)."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg

from experiment_pipeline.assets.source_metadata import LastPull
from experiment_pipeline.domain.source_schedules import longest_lag
from experiment_pipeline.domain.sources import Source
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.sources.row_profile import RowProfile
from experiment_pipeline.times import format_duration, iso_utc

EVENTS_ARE_RECENT = "events_are_recent"
COLUMNS_ARE_UNCHANGED = "columns_are_unchanged"
ROWS_ARE_UNIQUE = "rows_are_unique"
COLUMNS_ARE_FILLED = "columns_are_filled"
DESCRIPTIONS = {
    EVENTS_ARE_RECENT: "The newest event is not older than twice the source's interval.",
    COLUMNS_ARE_UNCHANGED: "Columns and their types are those of the pull before.",
    ROWS_ARE_UNIQUE: "No two rows of a pull have the same event id, or are equal where they have none.",
    COLUMNS_ARE_FILLED: "Every row has something in the columns without which it is no event.",
}
NAMED = 20  # columns


def check_specs(asset: dg.AssetKey, source: Source) -> list[dg.AssetCheckSpec]:
    """Return the checks of a source; without an interval, or times, nobody knows how recent its events should be."""
    names = [name for name in DESCRIPTIONS if name != EVENTS_ARE_RECENT or _interval(source) is not None]
    return [dg.AssetCheckSpec(name, asset=asset, description=DESCRIPTIONS[name]) for name in names]


def judge_lag(source: Source, newest: datetime | None, now: datetime) -> Iterator[dg.AssetCheckResult]:
    """Yield the check of how old the newest event is, where the source has an interval, and times."""
    every = _interval(source)
    if every is None:
        return
    allowed = longest_lag(every)
    if newest is None:
        yield _result(EVENTS_ARE_RECENT, "It has no event yet.")
        return
    lag = now - newest
    late = f"The newest event is of {iso_utc(newest)}: more than {format_duration(allowed)} ago."
    yield _result(
        EVENTS_ARE_RECENT,
        late if lag > allowed else None,
        lag_seconds=round(lag.total_seconds(), 3),
        allowed_seconds=allowed.total_seconds(),
    )


def judge_rows(source: Source, profile: RowProfile, last: LastPull) -> Iterator[dg.AssetCheckResult]:
    """Yield the checks of the rows that a pull has read; where there were none, they pass."""
    yield _result(COLUMNS_ARE_UNCHANGED, _drift(source, profile, last))
    of_first = f"{profile.repeated:,} of the first {profile.examined:,} rows"
    repeated = f"{of_first} are there already. They count once (rule E4)."
    if profile.is_by_event_id:
        repeated = f"{of_first} have an event id that is there already. Equal rows count once (rule E4), others each."
    yield _result(
        ROWS_ARE_UNIQUE, repeated if profile.repeated else None, repeated=profile.repeated, examined=profile.examined
    )
    nulls = {printable(name): rows for name, rows in profile.nulls.items()}
    empty = ", ".join(f"{name} in {rows:,} of {profile.rows:,} rows" for name, rows in nulls.items())
    yield _result(COLUMNS_ARE_FILLED, f"Empty: {empty}. These rows are rejected." if nulls else None, **nulls)


def _interval(source: Source) -> timedelta | None:
    """Return how often new events are expected; None where nobody knows, or all have one time, as identity links do."""
    has_times = any(mapping.timestamp.column is not None for mapping in source.mappings)
    return source.every if has_times else None


def _drift(source: Source, profile: RowProfile, last: LastPull) -> str | None:
    """Return how columns differ from those of the pull before; a new version of the source may have others."""
    if not profile.columns or not last.columns or last.version != source.version:
        return None
    now, before = profile.columns, last.columns
    told = [f"{name} is new" for name in now.keys() - before.keys()]
    told += [f"{name} is gone" for name in before.keys() - now.keys()]
    told += [
        f"{name} was {before[name]} and is {now[name]}" for name in now.keys() & before if now[name] != before[name]
    ]
    if not told:
        return None
    named = sorted(printable(each) for each in told)
    more = f"; and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f"{'; '.join(named[:NAMED])}{more}."


def _result(name: str, problem: str | None, **metadata: float) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=problem is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=problem,
        metadata=metadata,
    )
