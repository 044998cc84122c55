"""Events that came for final results, or left them: counted after an ingestion by hand, and told."""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.landing.ignored import NAMES_KEPT

if TYPE_CHECKING:
    from experiment_pipeline.domain.late_events import LateEvents
    from experiment_pipeline.lake.lake import Lake
    from experiment_pipeline.registry.registry import Registry


def count_late(context: Context, registry: "Registry", lake: "Lake") -> "Mapping[str, LateEvents]":
    """Count the events that came for final results, or left them (rules R6, E6); return new ones by experiment."""
    from experiment_pipeline.lake.late_events import count_late_events

    late = count_late_events(lake, registry.health)
    if late:
        from experiment_pipeline.resources.dagster_instance import open_instance, report_late_events

        with open_instance(context.settings.dagster_home) as instance:
            report_late_events(instance, registry.health, late)
    return {results.key: events for results, events in late.items()}


def print_late(late: "Mapping[str, LateEvents]") -> None:
    """Name the experiments that late events came for, and those whose results count events that have left."""
    if came := [key for key, events in late.items() if events.arrived]:
        click.echo(f"Late: some events belong to results that are final, and do not count there: {_named(came)}.")
    if left := [key for key, events in late.items() if events.removed]:
        click.echo(f"Removed: some events that final results count have left; the results stay: {_named(left)}.")
    if late:
        click.echo("  experiment-pipeline results KEY says how many.")


def late_as_json(late: "Mapping[str, LateEvents]") -> dict[str, object]:
    """Return the same for JSON."""
    came = [key for key, events in late.items() if events.arrived]
    left = [key for key, events in late.items() if events.removed]
    return {"late_events": _counted(came), "removed_events": _counted(left)}


def _named(keys: Collection[str]) -> str:
    more = f" and {len(keys) - NAMES_KEPT:,} more" if len(keys) > NAMES_KEPT else ""
    return f"{', '.join(islice(keys, NAMES_KEPT))}{more}"


def _counted(keys: Collection[str]) -> dict[str, object]:
    return {"count": len(keys), "first": list(islice(keys, NAMES_KEPT))}
