"""Options that several commands share."""

from collections.abc import Callable

import click

environment = click.option(
    "-e", "--environment", "environment", metavar="KEY", help="The environment; may be left out while there is one."
)
any_environment = click.option(
    "-e", "--environment", "environment", metavar="KEY", help="Of this environment alone; of every one when left out."
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
