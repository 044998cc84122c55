"""What `experiment-pipeline lake` tells of compaction and of removed rows."""

from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.domain.texts import printable

if TYPE_CHECKING:
    from experiment_pipeline.domain.removed_rows import RemovedRows
    from experiment_pipeline.lake.compaction import Merge
    from experiment_pipeline.lake.dropping import Drop

HOLDERS_NAMED = 5


def print_compaction(drops: "Sequence[Drop]", merges: "Sequence[Merge]", *, dry_run: bool) -> None:
    """Print what was dropped and merged, or would be."""
    rows = sum(drop.rows for drop in drops)
    if dry_run:
        for drop in drops:
            click.echo(f"{drop.environment_key} {drop.month}: {drop.rows:,} removed events")
        for merge in merges:
            click.echo(f"{merge.environment_key} {merge.month}: {len(merge.files)} files, {merge.rows:,} events")
        if drops:
            click.echo(f"{rows:,} removed events would be dropped.")
        click.echo(f"{len(merges)} merges would be made.")
        return
    if drops:
        click.echo(f"Dropped {rows:,} removed events.")
    files, merged = sum(len(merge.files) for merge in merges), sum(merge.rows for merge in merges)
    click.echo(f"Merged {files:,} files with {merged:,} events into {len(merges):,}.")


def compaction_as_json(drops: "Sequence[Drop]", merges: "Sequence[Merge]", *, dry_run: bool) -> dict[str, Any]:
    """Return what was dropped and merged, or would be."""
    return {
        "dry_run": dry_run,
        "drops": [
            {"environment": drop.environment_key, "month": drop.month, "removed_events": drop.rows} for drop in drops
        ],
        "merges": [
            {
                "environment": merge.environment_key,
                "month": merge.month,
                "files": len(merge.files),
                "events": merge.rows,
            }
            for merge in merges
        ],
    }


def print_removed(removed: "RemovedRows") -> None:
    """Print how many removed rows the lake stores and when they go; nothing where there are none."""
    if not removed.stored:
        return
    click.echo(f"{removed.stored:,} removed events are stored.")
    if removed.due:
        click.echo(f"  {removed.due:,} of them are dropped by the next clean-up, or by `lake compact`.")
    if removed.held:
        named = ", ".join(printable(each) for each in removed.held_by[:HOLDERS_NAMED])
        more = len(removed.held_by) - HOLDERS_NAMED
        others = f" and {more:,} more" if more > 0 else ""
        click.echo(f"  {removed.held:,} stay until these experiments are refreshed, final or deleted: {named}{others}.")
    if removed.next_at is not None:
        new, moment = removed.stored - removed.due - removed.held, removed.next_at.astimezone(UTC)
        click.echo(f"  {new:,} are too new: the first of them go after {moment:%Y-%m-%d %H:%M} UTC.")


def removed_as_json(removed: "RemovedRows") -> dict[str, Any]:
    """Return the same."""
    return {
        "stored": removed.stored,
        "due": removed.due,
        "held": removed.held,
        "held_by": list(removed.held_by),
        "next_at": None if removed.next_at is None else removed.next_at.isoformat(),
    }
