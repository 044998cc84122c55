"""`experiment-pipeline notifications`."""

import json
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.tables import add_row, listing
from experiment_pipeline.domain.notifications import Delivery, DeliveryState
from experiment_pipeline.errors import TargetUnreachable
from experiment_pipeline.times import iso_utc

if TYPE_CHECKING:
    from experiment_pipeline.domain.notification_targets import Target
    from experiment_pipeline.notifications.sender import Sender
    from experiment_pipeline.registry.registry import Registry

SEND_SECONDS = 60.0
SHOWN = 100  # deliveries, when no limit is given


@click.group()
def notifications() -> None:
    """List, test and send notifications, and send those again that were lost or given up.

    Targets are declared under `notifications` in a manifest (docs/notifications.md). Dagster's sensor `notifications`
    sends by itself.
    """


@notifications.command("list")
@options.any_environment
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in DeliveryState]),
    help="In this state alone; may be given several times.",
)
@click.option("--limit", default=SHOWN, show_default=True, type=click.IntRange(min=1), help="The newest ones.")
@options.as_json
@click.pass_obj
def list_deliveries(
    context: Context, environment: str | None, *, states: tuple[str, ...], limit: int, as_json: bool
) -> None:
    """List notifications with what became of each at its target, the newest first.

    \b
    Examples:
      experiment-pipeline notifications list
      experiment-pipeline notifications list --state dead --state lost --json
    """
    with context.registry() as registry:
        key = environment and context.environment(registry, environment)
        found = registry.notifications.list(key, states=[DeliveryState(each) for each in states], limit=limit)
    now = context.now
    if as_json:
        click.echo(json.dumps([_as_json(each, now) for each in found], indent=2))
        return
    table = listing("ID", "WRITTEN", "TARGET", "EVENT", "EXPERIMENT", "STATE", "ATTEMPTS", "NEXT", "LAST ERROR")
    for each in found:
        add_row(table, *_cells(each, now))
    context.wide_console.print(table)


@notifications.command("targets")
@options.as_json
@click.pass_obj
def list_targets(context: Context, as_json: bool) -> None:
    """List the targets that are declared, where their secrets are, and what waits for each.

    \b
    Example:
      experiment-pipeline notifications targets
    """
    from experiment_pipeline.registry.audit import as_json as json_ready

    with context.registry() as registry:
        targets, counts = registry.notification_targets.list(), registry.notifications.count_by_state()
    by_target = {
        target.key: {state.value: counts.get((target.key, state), 0) for state in DeliveryState} for target in targets
    }
    if as_json:
        listed = [{**json_ready(target), "deliveries": by_target[target.key]} for target in targets]
        click.echo(json.dumps(listed, indent=2))
        return
    table = listing("TARGET", "KIND", "URL FROM", "ENVIRONMENTS", "EVENTS", "EXPERIMENTS", "WAITING", "DEAD", "LOST")
    for target in targets:
        filters = (", ".join(each) or "all" for each in (target.environments, target.events, target.experiments))
        counted = by_target[target.key]
        numbers = (str(counted[name]) for name in ("waiting", "dead", "lost"))
        kind = target.kind.value if target.enabled else f"{target.kind} (not enabled)"
        add_row(table, target.key, kind, target.url_env or target.url_file or "", *filters, *numbers)
    context.wide_console.print(table)


@notifications.command("test")
@click.argument("target")
@click.option("--dry-run", is_flag=True, help="Show what would be sent; no secret is read.")
@options.as_json
@click.pass_obj
def test_target(context: Context, target: str, *, dry_run: bool, as_json: bool) -> None:
    """Send a test to TARGET now, past the outbox, and say whether it arrived. Exit code 1 where it did not.

    \b
    Examples:
      experiment-pipeline notifications test data_team
      experiment-pipeline notifications test data_team --dry-run
    """
    from experiment_pipeline.notifications.failures import SendFailed
    from experiment_pipeline.notifications.messages import body_of

    with context.registry() as registry:
        found, sender = registry.notification_targets.find(target), _sender(context, registry)
        notification = sender.test_notification()
        content: dict[str, Any] = {"target": target, "sent": not dry_run}
        if dry_run:
            content["body"] = json.loads(body_of(notification, context.settings.public_url))
            answer(json.dumps(content["body"], indent=2), content, as_json=as_json)
            return
        try:
            sender.send(found, notification)
        except SendFailed as failed:
            raise TargetUnreachable(f"{target}: {failed}") from None
    answer(f"Sent to {target}: {_arrived(found)}", {**content, "id": notification.key}, as_json=as_json)


@notifications.command("send")
@click.option("--dry-run", is_flag=True, help="List what is due; nothing is sent.")
@options.as_json
@click.pass_obj
def send_due(context: Context, *, dry_run: bool, as_json: bool) -> None:
    """Send what is due now, for at most a minute: for installations where Dagster's sensor does not run.

    Exit code 1 where something did not arrive; it is sent again later, as often as docs/notifications.md says.

    \b
    Examples:
      experiment-pipeline notifications send
      experiment-pipeline notifications send --dry-run
    """
    from experiment_pipeline.domain.notifications import is_due
    from experiment_pipeline.notifications.silence import write_silence

    with context.registry() as registry:
        if dry_run:
            open_ones = registry.notifications.list(states=[DeliveryState.WAITING, DeliveryState.SENDING])
            waiting = [each for each in open_ones if each.state_at(context.now) is DeliveryState.WAITING]
            ids = sorted(each.id for each in waiting if is_due(each.next_attempt_at, context.now))
            answer(f"{len(ids)} are due: {ids}.", {"dry_run": True, "due": ids}, as_json=as_json)
            return
        write_silence(registry, context.now, context.settings.health_event_age)
        sent = _sender(context, registry).send_due(SEND_SECONDS)
    content = {"dry_run": False, "delivered": sent.delivered, "failed": sent.failed}
    answer(f"{sent.delivered} sent, {sent.failed} failed.", content, as_json=as_json)
    if sent.failed:
        raise SystemExit(1)


@notifications.command("send-again")
@click.argument("delivery", metavar="ID", type=int)
@click.option("--dry-run", is_flag=True, help="Say whether it could be; nothing changes.")
@options.as_json
@click.pass_obj
def send_again(context: Context, delivery: int, *, dry_run: bool, as_json: bool) -> None:
    """Let the delivery ID, which was given up or lost, wait to be sent once more, with the same idempotency key.

    A lost one may have arrived: then people see it twice.

    \b
    Example:
      experiment-pipeline notifications send-again 12
    """
    with context.registry() as registry:
        after = registry.notifications.send_again(delivery, actor=context.actor, now=context.now, dry_run=dry_run)
    does = "would wait" if dry_run else "waits"
    content = {"dry_run": dry_run, **_as_json(after, context.now)}
    answer(f"Delivery {after.id} to {after.target} {does} to be sent again.", content, as_json=as_json)


def _sender(context: Context, registry: "Registry") -> "Sender":
    from experiment_pipeline.notifications.sender import Sender

    return Sender(registry, os.environ, context.settings.public_url, lambda: context.now)


def _arrived(target: "Target") -> str:
    from experiment_pipeline.domain.notifications import TargetKind

    return "apprise took it." if target.kind is TargetKind.APPRISE else "it answered that it was received."


def _cells(each: Delivery, now: datetime) -> tuple[str, ...]:
    experiment, state = each.notification.experiment, each.state_at(now)
    waits = state is DeliveryState.WAITING and each.state is DeliveryState.WAITING
    return (
        str(each.id),
        f"{each.notification.created_at:%Y-%m-%d %H:%M}",
        each.target,
        each.notification.event,
        "" if experiment is None else f"{each.notification.environment_key}/{experiment.key}",
        state.value,
        str(each.attempts),
        f"{each.next_attempt_at:%Y-%m-%d %H:%M}" if waits else "",
        each.error or "",
    )


def _as_json(each: Delivery, now: datetime) -> dict[str, Any]:
    notification, experiment = each.notification, each.notification.experiment
    moments = {name: getattr(each, name) for name in ("next_attempt_at", "attempted_at", "delivered_at")}
    return {
        "id": each.id,
        "key": notification.key,
        "target": each.target,
        "kind": each.kind.value,
        "event": notification.event,
        "environment": notification.environment_key,
        "experiment": None if experiment is None else experiment.key,
        "phase": None if experiment is None else experiment.phase,
        "written_at": iso_utc(notification.created_at),
        "state": each.state_at(now).value,
        "attempts": each.attempts,
        **{name: None if moment is None else iso_utc(moment) for name, moment in moments.items()},
        "error": each.error,
        "facts": notification.facts,
    }
