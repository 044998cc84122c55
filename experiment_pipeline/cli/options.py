"""Options that several commands share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from typing_extensions import override

from experiment_pipeline.times import parse_duration, to_milliseconds


class Moment(click.ParamType[datetime]):
    """A moment in ISO-8601 with a zone."""

    name = "moment"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment in UTC; a usage error for anything else."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fail("must be a time with a zone, such as 2026-03-01T12:00:00Z.", param, ctx)
        return to_milliseconds(moment.astimezone(UTC))


class Duration(click.ParamType[timedelta]):
    """A duration in ISO-8601."""

    name = "duration"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration; a usage error for anything else."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


MOMENT, DURATION = Moment(), Duration()
environment = click.option(
    "-e", "--environment", "environment", metavar="KEY", help="The environment; may be left out while there is one."
)
any_environment = click.option(
    "-e", "--environment", "environment", metavar="KEY", help="Of this environment alone; of every one when left out."
)
environment_of_key = click.option(
    "-e",
    "--environment",
    metavar="KEY",
    help="The experiment's environment, when several have an experiment of this key.",
)
PORT_OR_FREE = click.IntRange(0, 65_535)  # 0: any port that is free
phase = click.option(
    "--phase", metavar="N", type=click.IntRange(min=1), help="The phase; the newest one when left out."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def listen_options(port: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds where a server listens, by default on this port, and its number of processes."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes."),
            click.option("--port", default=port, show_default=True, type=PORT_OR_FREE),
            click.option("--host", default="127.0.0.1", show_default=True),
        ):
            command = option(command)
        return command

    return add
