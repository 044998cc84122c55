"""What several commands share: options, and models as JSON."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pydantic import BaseModel

environment = click.option(
    "-e", "--environment", "environment", metavar="KEY", help="The environment; may be left out while there is one."
)
PORT = click.IntRange(0, 65_535)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def listening(port: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Where a server listens, by default on this port, and with how many processes."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes."),
            click.option("--port", default=port, show_default=True, type=PORT),
            click.option("--host", default="127.0.0.1", show_default=True),
        ):
            command = option(command)
        return command

    return add


def echo_models(models: "Sequence[BaseModel] | BaseModel") -> None:
    """Print one model or a list of them as the HTTP API would show them."""
    content = (
        [model.model_dump(mode="json") for model in models]
        if isinstance(models, Sequence)
        else models.model_dump(mode="json")
    )
    click.echo(json.dumps(content, indent=2))
