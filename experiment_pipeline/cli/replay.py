"""`experiment-pipeline replay`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context, in_phase
from experiment_pipeline.cli.repair import open_warehouse, progress_bar
from experiment_pipeline.cli.results_report import report
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation, ComputationState, ComputedTogether
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ConfigurationError, RowsDropped
from experiment_pipeline.times import iso_utc, to_milliseconds

if TYPE_CHECKING:
    from experiment_pipeline.registry.registry import Registry
    from experiment_pipeline.replay.replay import ReplayedLook, ReplayedMoment, Replayer

SHOWN_DIFFERENCES = 20
ONE_WAY = "Give one of --look, --as-of and --every: a look again, a moment, or equal steps."
BY_EVENT_TIME = (
    "Events are counted by when they happened, whenever they arrived: real looks at these moments may have seen less."
)


@click.command()
@click.argument("key")
@options.environment
@options.phase
@click.option("--look", "number", type=click.IntRange(min=1), metavar="N", help="This look alone, of all of them.")
@click.option(
    "--as-of", type=options.MOMENT, metavar="TIME", help="What a refresh at this moment would have published."
)
@click.option(
    "--every", type=options.DURATION, metavar="P1D", help="What looks at equal steps after the start would have shown."
)
@options.as_json
@click.pass_obj
def replay(
    context: Context,
    key: str,
    environment: str | None,
    *,
    phase: int | None,
    number: int | None,
    as_of: datetime | None,
    every: timedelta | None,
    as_json: bool,
) -> None:
    """Compute published results of the experiment KEY again and compare them with what was published, to the last bit.

    Nothing that is published changes. Exit code 1: a look differs.

    --as-of takes the rows that were in the lake at that moment; --every takes the rows of now, and counts them by when
    they happened: for data that was loaded afterwards.

    \b
    Examples:
      experiment-pipeline replay checkout
      experiment-pipeline replay checkout --look 3
      experiment-pipeline replay checkout --as-of 2026-03-01T12:00:00Z
      experiment-pipeline replay checkout --every P1D
    """
    if sum(given is not None for given in (number, as_of, every)) > 1:
        raise ConfigurationError.of("--look", ONE_WAY)
    with context.registry() as registry:
        context.require_sound_lake(registry)
        experiment = in_phase(context.find(registry, key, environment), phase)
        context.require_events_in_lake(registry, experiment.environment_key, "a replay")
        with _replayer(context, registry, experiment) as replayer:
            if as_of is not None:
                _show_moment(context, replayer, as_of, as_json=as_json)
            elif every is not None:
                _show_steps(context, replayer, every, as_json=as_json)
            else:
                _show_looks(context, replayer, number, as_json=as_json)


@contextmanager
def _replayer(context: Context, registry: "Registry", experiment: Experiment) -> Iterator["Replayer"]:
    """Yield replays over a folder of artifacts of their own."""
    from experiment_pipeline.replay.replay import Replayer

    with TemporaryDirectory(prefix="experiment-pipeline-replay-") as folder:
        yield Replayer(registry, open_warehouse(context, Path(folder)), experiment, context.floors)


def _show_looks(context: Context, replayer: "Replayer", number: int | None, *, as_json: bool) -> None:
    experiment = replayer.experiment
    count = replayer.registry.looks.count(experiment.id, experiment.phase)
    numbers = range(1, count + 1) if number is None else [number]
    replayed: list[ReplayedLook] = []
    gone: dict[int, str] = {}
    with progress_bar(context, "looks") as progress:
        for each in progress.track(numbers, description="Replaying"):
            try:
                replayed.append(replayer.look(each))
            except RowsDropped as dropped:
                if number is not None:
                    raise
                gone[each] = str(dropped)
    if as_json:
        cannot = [{"phase": experiment.phase, "number": each, "dropped": why} for each, why in gone.items()]
        click.echo(json.dumps([*cannot, *map(_as_json, replayed)], indent=2))
    elif not count:
        click.echo("No results were published yet: there is nothing to replay.")
    else:
        lines = [f"look {each} cannot be replayed: {why}" for each, why in gone.items()]
        click.echo("\n".join([*lines, *(line for each in replayed for line in _look_lines(each))]))
    differ = [str(each.look.number) for each in replayed if not each.is_equal]
    if differ:
        raise click.ClickException(f"Look {', '.join(differ)} of '{experiment.key}': not what was published.")


def _look_lines(replayed: "ReplayedLook") -> Iterator[str]:
    look = replayed.look
    code = f", computed by other code then ({look.code_version})" if replayed.code_changed else ""
    found = "equal to the last bit" if replayed.is_equal else f"{len(replayed.differences):,} differences"
    yield f"look {look.number} as of {iso_utc(look.as_of)}, data version {look.data_version}{code}: {found}"
    if replayed.erased:
        noun = "identity" if replayed.erased == 1 else "identities"
        yield f"  {replayed.erased:,} {noun} that it may have counted erased since: what remains is compared"
    if replayed.not_compared:
        yield f"  not compared, because an older version did not store its reasons: {', '.join(replayed.not_compared)}"
    for each in replayed.differences[:SHOWN_DIFFERENCES]:
        was, now = (json.dumps(value) for value in (each.published, each.replayed))
        yield printable(f"  {each.path}: published {was}, replayed {now}")
    if len(replayed.differences) > SHOWN_DIFFERENCES:
        yield f"  and {len(replayed.differences) - SHOWN_DIFFERENCES:,} more; --json has all"


def _as_json(replayed: "ReplayedLook") -> dict[str, object]:
    look = replayed.look
    return {
        "phase": look.phase,
        "number": look.number,
        "as_of": iso_utc(look.as_of),
        "data_version": look.data_version,
        "is_equal": replayed.is_equal,
        "erased": replayed.erased,
        "code_version": look.code_version,
        "code_changed": replayed.code_changed,
        "not_compared": list(replayed.not_compared),
        "differences": [
            {"path": each.path, "published": each.published, "replayed": each.replayed} for each in replayed.differences
        ],
    }


def _show_moment(context: Context, replayer: "Replayer", as_of: datetime, *, as_json: bool) -> None:
    moment = min(as_of, replayer.experiment.ended_at or as_of)
    if moment > context.now:
        raise ConfigurationError.of("--as-of", f"Must not lie in the future, got {iso_utc(moment)}.")
    found = replayer.moment(moment, replayer.registry.batches.newest_by(as_of))
    if as_json:
        click.echo(json.dumps(_moment_as_json(found), indent=2))
        return
    click.echo(f"The batches that were in the lake by {iso_utc(as_of)}: data version {found.data_version}.", err=True)
    computed = ComputedTogether(
        _as_published(Computation.EXPOSURES, found, found.exposures),
        _as_published(Computation.RESULTS, found, found.results),
    )
    context.wide_console.print(report(replayer.experiment, computed, floors=context.floors))


def _as_published(
    computation: Computation, found: "ReplayedMoment", payload: Mapping[str, object]
) -> ComputationState[Mapping[str, object]]:
    return ComputationState(
        computation=computation,
        as_of=found.as_of,
        data_version=found.data_version,
        computed_at=found.as_of,
        payload=payload,
        is_final=False,
        last_error_at=None,
        failures=0,
        refresh_requested_at=None,
        last_duration_seconds=None,
    )


def _show_steps(context: Context, replayer: "Replayer", every: timedelta, *, as_json: bool) -> None:
    until = min(context.now, replayer.experiment.ended_at or context.now)
    version = replayer.registry.batches.lake_version().data_version
    found = []
    with progress_bar(context, "looks") as progress:
        bar = progress.add_task("Replaying", total=None)
        for each in replayer.steps(every, to_milliseconds(until), version):
            found.append(each)
            progress.update(bar, advance=1)
    if as_json:
        click.echo(json.dumps([_moment_as_json(each) for each in found], indent=2))
        return
    table = listing("as of", "identities", "split", "decision", "verdicts on the primary metric")
    for each in found:
        results = each.results
        add_row(
            table,
            iso_utc(each.as_of),
            f"{sum(results['srm']['identities'].values()):,}",
            {True: "sound", False: "broken", None: "not tested"}[results["trustworthy"]],
            results["decision"]["action"] if "decision" in results else "",
            ", ".join(f"{key} {verdict}" for key, verdict in results["metrics"][0]["verdict"].items())
            if results["metrics"]
            else "",
        )
    context.wide_console.print(table)
    click.echo(BY_EVENT_TIME, err=True)


def _moment_as_json(found: "ReplayedMoment") -> dict[str, object]:
    return {
        "as_of": iso_utc(found.as_of),
        "data_version": found.data_version,
        "exposures": found.exposures,
        "results": found.results,
    }
