"""`experiment-pipeline keys`."""

from datetime import timedelta

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.tables import add_row, listing

SCOPES = ("read", "refresh", "admin")
STORE_IT = "Store it now: only its digest is kept. Send it as 'Authorization: Api-Key <token>'."


@click.group()
def keys() -> None:
    """Create, list, rotate and revoke API keys."""


@keys.command("create")
@options.environment
@click.option("--scope", required=True, type=click.Choice(SCOPES), help="Each allows more than the one before.")
@click.option("--name", default="", help="Who or what will use it.")
@click.option("--valid-for", type=options.DURATION, metavar="P90D", help="How long; for ever when left out.")
@options.as_json
@click.pass_obj
def create_key(
    context: Context, environment: str | None, *, scope: str, name: str, valid_for: timedelta | None, as_json: bool
) -> None:
    """Create a key and print its token, which cannot be shown again.

    \b
    Examples:
      experiment-pipeline keys create --environment production --scope read --name dashboard
      experiment-pipeline keys create --scope read --name report --valid-for P90D
    """
    from experiment_pipeline.domain.api_keys import Scope
    from experiment_pipeline.registry.audit import as_json as json_ready

    with context.registry() as registry:
        key = context.environment(registry, environment)
        created, token = registry.keys.create(
            key, Scope(scope), name or scope, actor=context.actor, now=context.now, valid_for=valid_for
        )
    answer(token, {"token": token, **json_ready(created)}, as_json=as_json)
    click.echo(STORE_IT, err=True)


@keys.command("rotate")
@click.argument("prefix")
@click.option(
    "--overlap",
    type=options.DURATION,
    default="P7D",
    show_default=True,
    metavar="P7D",
    help="How long the old key still opens anything.",
)
@options.as_json
@click.pass_obj
def rotate_key(context: Context, prefix: str, overlap: timedelta, as_json: bool) -> None:
    """Create a key in the place of the one with this PREFIX, print its token, and let the old one expire.

    Both open the same until then. The new one is valid for as long as the old one was made for.

    \b
    Example:
      experiment-pipeline keys rotate 0123456789ab --overlap P1D
    """
    from experiment_pipeline.registry.audit import as_json as json_ready

    with context.registry() as registry:
        old, new, token = registry.keys.rotate(prefix, overlap=overlap, actor=context.actor, now=context.now)
    answer(token, {"token": token, **json_ready(new), "replaces": json_ready(old)}, as_json=as_json)
    click.echo(f"Key {old.prefix} opens the same until {old.expires_at:%Y-%m-%d %H:%M} UTC. {STORE_IT}", err=True)


@keys.command("list")
@options.any_environment
@options.as_json
@click.pass_obj
def list_keys(context: Context, environment: str | None, as_json: bool) -> None:
    """List keys, revoked ones too."""
    import json

    from experiment_pipeline.registry.audit import as_json as json_ready

    with context.registry() as registry:
        found = registry.keys.list(environment and context.environment(registry, environment))
    if as_json:
        click.echo(json.dumps([json_ready(key) for key in found], indent=2))
        return
    columns = ("prefix", "environment", "scope", "name", "created", "last used", "expires", "revoked")
    table = listing(*columns)
    for key in found:
        moments = (key.created_at, key.last_used_at, key.expires_at, key.revoked_at)
        shown = (f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in moments)
        add_row(table, key.prefix, key.environment_key, key.scope, key.name, *shown)
    context.wide_console.print(table)


@keys.command("revoke")
@click.argument("prefix")
@options.as_json
@click.pass_obj
def revoke_key(context: Context, prefix: str, as_json: bool) -> None:
    """Revoke the key with this PREFIX, the part of its token between the underscores."""
    from experiment_pipeline.registry.audit import as_json as json_ready

    with context.registry() as registry:
        revoked = registry.keys.revoke(prefix, actor=context.actor, now=context.now)
    answer(f"Revoked key {revoked.prefix}.", json_ready(revoked), as_json=as_json)
