"""`experiment-pipeline experiments discover`."""

import json
from typing import Any

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.repair import open_warehouse, progress_bar
from experiment_pipeline.domain.discovery import ExposedVariants, UncoveredFlag, uncovered_flags
from experiment_pipeline.times import iso_utc, to_milliseconds

MOST_PAIRS = 1_000  # of flag and variant


@click.command("discover")
@options.environment
@options.as_json
@click.pass_obj
def discover_experiments(context: Context, environment: str | None, as_json: bool) -> None:
    """Print a manifest of the flags and variants in exposures that no experiment covers, with counts and dates.

    What the data cannot say is left as comments to fill in: the planned allocations, metrics, and the end. An
    allocation that is taken from the observed shares makes the test of the split pass always. An experiment covers a
    variant that it compares, holds out or ignores, and that was exposed in its window. Nothing changes.

    \b
    Examples:
      experiment-pipeline experiments discover > found.yaml
      experiment-pipeline experiments discover --environment prod --json
    """
    from experiment_pipeline.schemas.discovered_manifest import discovered_manifest

    with context.registry() as registry:
        context.require_sound_lake(registry)
        key = context.environment(registry, environment)
        context.require_events_in_lake(registry, key, "a list of flags")
        version = registry.batches.lake_version().data_version
        known = registry.experiments.list(key)
    engine = open_warehouse(context)
    with progress_bar(context, "exposures") as progress:
        progress.add_task("Reading exposures", total=None)
        seen = engine.exposed_variants(key, version, to_milliseconds(context.now), MOST_PAIRS)
    flags = uncovered_flags(seen.listed, known)
    manifest = discovered_manifest(flags, key, [each.key for each in known]) if flags else None
    if as_json:
        click.echo(json.dumps(_as_json(key, version, seen, flags, manifest), indent=2))
        return
    click.echo(manifest or f"# {_nothing(key, seen)}\n", nl=False)
    if seen.pairs > len(seen.listed):
        click.echo(f"There are {seen.pairs:,} pairs of flag and variant; only the largest are looked at.", err=True)


def _nothing(key: str, seen: ExposedVariants) -> str:
    if not seen.pairs:
        return f"No exposures of environment {key} are in the lake. Ingest or import some first."
    return f"Experiments cover every flag and variant in exposures of {key}."


def _as_json(
    key: str, version: int, seen: ExposedVariants, flags: list[UncoveredFlag], manifest: str | None
) -> dict[str, Any]:
    return {
        "environment": key,
        "data_version": version,
        "pairs": seen.pairs,
        "looked_at": len(seen.listed),
        "flags": [_flag_as_json(flag) for flag in flags],
        "manifest": manifest,
    }


def _flag_as_json(flag: UncoveredFlag) -> dict[str, Any]:
    control = flag.control
    return {
        "feature": flag.feature,
        "experiments": list(flag.experiments),
        "probable_control": None if control is None else {"variant": control.variant, "sign": control.sign.value},
        "variants": [
            {
                "variant": each.variant,
                "identities": each.identities,
                "exposures": each.exposures,
                "first_at": iso_utc(each.first_at),
                "last_at": iso_utc(each.last_at),
            }
            for each in flag.variants
        ],
    }
