"""Events that came for final results: counted after an ingestion by hand, and told."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.landing.ignored import NAMES_KEPT

if TYPE_CHECKING:
    from experiment_pipeline.lake.lake import Lake
    from experiment_pipeline.registry.registry import Registry


def count_late(context: Context, registry: "Registry", lake: "Lake") -> list[str]:
    """Count the events that came for final results (rule R6); return the keys of the experiments that have new ones."""
    from experiment_pipeline.lake.late_events import count_late_events

    late = count_late_events(lake, registry.health)
    if late:
        from experiment_pipeline.resources.dagster_instance import open_instance, report_late_events

        with open_instance(context.settings.dagster_home) as instance:
            report_late_events(instance, registry.health, late)
    return [results.key for results in late]


def print_late(keys: Sequence[str]) -> None:
    """Name the experiments that late events came for."""
    if keys:
        more = f" and {len(keys) - NAMES_KEPT:,} more" if len(keys) > NAMES_KEPT else ""
        named = ", ".join(islice(keys, NAMES_KEPT))
        click.echo(f"Late: some events belong to results that are final, and do not count there: {named}{more}.")
        click.echo("  experiment-pipeline results KEY says how many.")


def late_as_json(keys: Sequence[str]) -> dict[str, object]:
    """Return the same for JSON."""
    return {"late_events": {"count": len(keys), "first": list(islice(keys, NAMES_KEPT))}}
