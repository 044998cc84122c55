"""`experiment-pipeline schema`."""

import json

import click

from experiment_pipeline.cli import options


@click.group()
def schema() -> None:
    """Print the JSON Schema of a manifest, for editors, or of a notification, for those who receive it."""


@schema.command()
@options.as_json
def manifest(as_json: bool) -> None:  # noqa: ARG001 - it prints nothing but JSON
    """Print the JSON Schema of manifests, the files that `apply` reads.

    An editor with the YAML language server checks and completes a manifest whose first line names the schema:

    \b
      # yaml-language-server: $schema=./manifest.schema.json

    \b
    Example:
      experiment-pipeline schema manifest > manifest.schema.json
    """
    from experiment_pipeline.schemas.manifest_schema import manifest_schema

    click.echo(json.dumps(manifest_schema(), indent=2))


@schema.command()
@options.as_json
def notification(as_json: bool) -> None:  # noqa: ARG001 - it prints nothing but JSON
    """Print the JSON Schema of the body of a webhook, for those who receive notifications.

    \b
    Example:
      experiment-pipeline schema notification > notification.schema.json
    """
    from experiment_pipeline.notifications.body_schema import notification_schema

    click.echo(json.dumps(notification_schema(), indent=2))
