"""What several commands share: options, and models as JSON."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pydantic import BaseModel

environment = click.option(
    "-e", "--environment", "environment", metavar="KEY", help="The environment; may be left out while there is one."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def echo_models(models: "Sequence[BaseModel] | BaseModel") -> None:
    """Print one model or a list of them as the HTTP API would show them."""
    content = (
        [model.model_dump(mode="json") for model in models]
        if isinstance(models, Sequence)
        else models.model_dump(mode="json")
    )
    click.echo(json.dumps(content, indent=2))
