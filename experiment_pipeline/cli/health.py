"""`experiment-pipeline health`."""

import json
from collections.abc import Iterator

import click
from rich.text import Text

from experiment_pipeline.cli import options
from experiment_pipeline.cli.context import Context, in_phase
from experiment_pipeline.domain.refresh import StoredHealth
from experiment_pipeline.health.thresholds import Thresholds

STYLES = {"error": "bold red", "warning": "yellow", "ok": "green"}


@click.command()
@click.argument("key")
@options.environment
@options.phase
@click.option("--all", "with_passed", is_flag=True, help="Show what has passed, too.")
@options.as_json
@click.pass_obj
def health(
    context: Context, key: str, environment: str | None, *, phase: int | None, with_passed: bool, as_json: bool
) -> None:
    """Show what the health checks found wrong with the experiment KEY, the worst first, and what to do about it.

    The findings are those of the newest results; whether events still arrive is judged as of now.

    \b
    Examples:
      experiment-pipeline health checkout
      experiment-pipeline health checkout --all
      experiment-pipeline health checkout --json
    """
    with context.registry() as registry:
        experiment = in_phase(context.find(registry, key, environment), phase)
        found = registry.health.live(experiment, context.now, Thresholds.of(context.settings))
    if as_json:
        click.echo(json.dumps({"health": None if found is None else found.to_json()}, indent=2))
    elif found is None:
        click.echo("No results were published yet.")
    else:
        for line in _lines(found, with_passed=with_passed):
            context.wide_console.print(line)


def _lines(found: StoredHealth, *, with_passed: bool) -> Iterator[Text]:
    findings = found.worst_first()
    wrong = [each for each in findings if each["severity"] != "ok"]
    yield Text(
        f"As of {found.as_of:%Y-%m-%d %H:%M:%S} UTC, data version {found.data_version}: "
        f"{len(findings) - len(wrong)} of {len(findings)} checks passed."
    )
    for each in findings if with_passed else wrong:
        yield Text(f"{each['severity']}: {each['title']}. {each['detail']}", style=STYLES[each["severity"]])
