"""`experiment-pipeline looks`."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context, in_phase
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.pages.looks import MOVED, LookView, count_words, look_view, metric_name
from experiment_pipeline.pages.quantities import WITHHELD, readable
from experiment_pipeline.results.looks import LooksDiff, MetricChange, look_summary, looks_diff

if TYPE_CHECKING:
    from experiment_pipeline.registry.registry import Registry

SECOND = "%Y-%m-%d %H:%M:%S"


@click.command()
@click.argument("key")
@options.environment
@options.phase
@click.option("--diff", nargs=2, type=int, metavar="A B", help="Compare two looks by their numbers.")
@click.option("--page", default=1, show_default=True, type=click.IntRange(1, 1_000_000), help="1 is the newest.")
@click.option("--page-size", default=50, show_default=True, type=click.IntRange(1, 999), help="Looks on a page.")
@options.as_json
@click.pass_obj
def looks(
    context: Context,
    key: str,
    environment: str | None,
    *,
    phase: int | None,
    diff: tuple[int, int] | None,
    page: int,
    page_size: int,
    as_json: bool,
) -> None:
    """List every published result of the experiment KEY, newest first, and what moved since the one before.

    \b
    Examples:
      experiment-pipeline looks checkout
      experiment-pipeline looks checkout --diff 3 4
      experiment-pipeline looks checkout --phase 1
    """
    with context.registry() as registry:
        experiment = in_phase(context.find(registry, key, environment), phase)
        if diff is not None:
            compared = _compared(registry, experiment, *diff)
            click.echo(json.dumps(compared, indent=2) if as_json else "\n".join(_diff_lines(experiment, compared)))
            return
        count = registry.looks.count(experiment.id, experiment.phase)
        found = registry.looks.list(experiment.id, experiment.phase, limit=page_size, offset=(page - 1) * page_size)
    if as_json:
        click.echo(json.dumps([look_summary(look) for look in found], indent=2))
    elif not count:
        click.echo("No results were published yet.")
    else:
        _print_table(context, [look_view(experiment, look) for look in found])
        if count > len(found):
            first = (page - 1) * page_size + 1
            shown = f"{first} to {first + len(found) - 1}" if found else "None"
            click.echo(f"{shown} of {count} looks; --page shows others.")


def _compared(registry: "Registry", experiment: Experiment, one: int, other: int) -> LooksDiff:
    if one == other:
        raise ConfigurationError.of("--diff", "Name two different looks, such as --diff 3 4.")
    first, last = sorted((one, other))
    earlier, later = (registry.looks.get(experiment.id, number, experiment.phase) for number in (first, last))
    return looks_diff(earlier, [*registry.looks.between(experiment.id, first, last, experiment.phase), later])


def _print_table(context: Context, shown: list[LookView]) -> None:
    table = listing(
        "phase",
        "look",
        "as of",
        "data version",
        "identities",
        "new",
        "late",
        "restated",
        "quarantined",
        "decision",
        "verdicts",
    )
    for each in shown:
        add_row(
            table,
            str(each.phase),
            f"{each.number} ({each.planned})" if each.planned else str(each.number),
            f"{each.as_of:{SECOND}}",
            f"{each.data_version} ({each.code})" if each.code else str(each.data_version),
            *(each.identities, each.new, each.late, each.restated, each.quarantined),
            each.decision,
            each.verdicts,
        )
    context.wide_console.print(table)


def _diff_lines(experiment: Experiment, diff: LooksDiff) -> Iterator[str]:
    earlier, later, moved = diff["earlier"], diff["later"], diff["moved"]
    for which, look in (("Earlier", earlier), ("Later", later)):
        yield (
            f"{which}: look {look['number']} as of {_second(look['as_of'])}, data version {look['data_version']}, "
            f"{look['identities']:,} identities"
        )
    counts: Mapping[str, int | None] = dict(moved.items())  # type: ignore[arg-type]
    yield "Moved: " + ", ".join(f"{count_words(counts[name])} {words}" for name, words in MOVED.items())
    yield "Code: " + ("another version computed the later look" if diff["code_changed"] else "the same")
    for metric in diff["metrics"]:
        yield metric_name(experiment, metric)
        yield from _metric_lines(metric)


def _metric_lines(metric: MetricChange) -> Iterator[str]:
    for key, arm in metric["variants"].items():
        yield f"  {printable(key)}: {_pair('n', arm['n'], ',')}, {_pair('sum', arm['sum'], ',.6g')}"
    for key, change in metric["treatments"].items():
        effect, lift = _pair("effect", change["effect"], "+.5g"), _pair("lift", change["lift"], "+.2%")
        was, now = (WITHHELD if verdict is None else readable(verdict) for verdict in change["verdict"])
        verdict = f"verdict {now}, as before" if was == now else f"verdict {was} -> {now}"
        yield f"  {printable(key)} against control: {effect}, {lift}, {verdict}"


def _pair(name: str, pair: tuple[float | None, float | None], form: str) -> str:
    was, now = (WITHHELD if number is None else format(number, form) for number in pair)
    return f"{name} {now}" if was == now else f"{name} {was} -> {now}"


def _second(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):{SECOND}}"
