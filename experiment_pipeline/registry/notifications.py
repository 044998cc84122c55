"""Notifications in the registry: an outbox, written with what it tells, and every delivery's way to its target.

A delivery is acquired before it is sent, for as long as a lease lasts, and closed afterwards. A sender that dies in
between leaves it as it is being sent: then a webhook is sent again, and one of apprise is lost (docs/notifications.md).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.notification_targets import Target
from experiment_pipeline.domain.notifications import (
    ERROR_LENGTH,
    LEASE,
    MOST_ATTEMPTS,
    MOST_PER_MINUTE,
    OPEN,
    UNDELIVERED,
    Delivery,
    DeliveryState,
    ExperimentNamed,
    Notification,
    Occurrence,
    TargetKind,
    is_due,
    retry_delay,
)
from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.errors import Conflict, NotFound
from experiment_pipeline.registry import audit
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.notification_tables import notification_deliveries, notifications
from experiment_pipeline.registry.notification_targets import list_targets
from experiment_pipeline.registry.tables import experiments

deliveries = notification_deliveries
RESTORED = "It waited when the backup was made that was restored here: whether it was sent since is not known."
NOT_KNOWN = "Its sender ended before it had an answer: whether it arrived is not known."


@dataclass(frozen=True, slots=True)
class Notifications:
    """Store of notifications and their deliveries."""

    database: Database

    def list(
        self,
        environment_key: str | None = None,
        *,
        states: Collection[DeliveryState] = (),
        experiment_id: int | None = None,
        limit: int | None = None,
    ) -> Sequence[Delivery]:
        """Return deliveries, the newest first.

        Args:
            environment_key: of one environment alone; None for every one.
            states: in these states, as they are stored; none for all.
            experiment_id: of one experiment alone.
            limit: at most so many; None for all.
        """
        wanted = _select()
        if environment_key is not None:
            wanted = wanted.where(notifications.c.environment_key == environment_key)
        if states:
            wanted = wanted.where(deliveries.c.state.in_([state.value for state in states]))
        if experiment_id is not None:
            wanted = wanted.where(is_id(notifications.c.experiment_id, experiment_id))
        with reading(self.database) as connection:
            rows = connection.execute(wanted.order_by(deliveries.c.id.desc()).limit(limit)).mappings()
            return [_decode(row) for row in rows]

    def write(self, experiment_id: int, phase: int, occurrences: Sequence[Occurrence], *, now: datetime) -> None:
        """Write what is new among the occurrences of an experiment to the outbox; see `write_notifications`."""
        with writing(self.database) as connection:
            write_notifications(connection, experiment_id, phase, occurrences, now=now)

    def acquire(self, target: Target, now: datetime) -> Delivery | None:
        """Return the delivery to send to a target now, acquired for the duration of a lease; None where none is due.

        Deliveries to one target are sent in the order in which their notifications were written: one that waits for
        its next attempt holds up those after it.
        """
        with writing(self.database) as connection:
            while (row := _first_open(connection, target.key)) is not None:
                found = _decode(row)
                state = found.state_at(now)
                was_interrupted = found.state is DeliveryState.SENDING
                if was_interrupted and state is DeliveryState.WAITING and found.attempts >= MOST_ATTEMPTS:
                    state = DeliveryState.DEAD
                if state in UNDELIVERED:
                    _close(connection, found, state=state.value, error=NOT_KNOWN)
                    continue
                if state is DeliveryState.SENDING or not (was_interrupted or is_due(found.next_attempt_at, now)):
                    return None
                if _sent_within_a_minute(connection, target.key, now) >= MOST_PER_MINUTE:
                    return None
                values = {
                    "state": DeliveryState.SENDING.value,
                    "attempts": found.attempts + 1,
                    "next_attempt_at": now + LEASE,
                    "attempted_at": now,
                }
                connection.execute(update(deliveries).where(deliveries.c.id == found.id).values(values))
                return _get(connection, found.id)
        return None

    def close_delivered(self, delivery: Delivery, now: datetime) -> None:
        """Store that an acquired delivery has arrived."""
        with writing(self.database) as connection:
            _close(connection, delivery, state=DeliveryState.DELIVERED.value, delivered_at=now, error=None)

    def close_failed(self, delivery: Delivery, error: str, now: datetime, *, was_sent: bool = True) -> DeliveryState:
        """Store why an acquired delivery failed: it waits for its next attempt, is dead after the last, or is lost.

        Args:
            delivery: as it was acquired.
            error: for people; without secrets.
            now: UTC.
            was_sent: whether anything may have left this machine; one of apprise is lost then.

        Returns:
            The state that it is in now.
        """
        if delivery.kind is TargetKind.APPRISE and was_sent:
            state = DeliveryState.LOST
        else:
            state = DeliveryState.DEAD if delivery.attempts >= MOST_ATTEMPTS else DeliveryState.WAITING
        later = now + retry_delay(delivery.attempts)
        told = printable(shortened(error, ERROR_LENGTH))
        with writing(self.database) as connection:
            _close(connection, delivery, state=state.value, next_attempt_at=later, error=told)
        return state

    def send_again(self, delivery_id: int, *, actor: str, now: datetime, dry_run: bool = False) -> Delivery:
        """Let a delivery that is dead or lost wait to be sent once more, with its attempts counted anew.

        Returns:
            The delivery as it is then, or, in a dry run, would be.

        Raises:
            NotFound: there is no such delivery.
            Conflict: it is neither dead nor lost.
        """
        with writing(self.database) as connection:
            before = _get(connection, delivery_id)
            state = before.state_at(now)
            if state not in UNDELIVERED:
                raise Conflict(f"Delivery {before.id} is {state}: only one that is dead or lost can be sent again.")
            values = {"state": DeliveryState.WAITING.value, "attempts": 0, "next_attempt_at": now}
            connection.execute(update(deliveries).where(deliveries.c.id == before.id).values(values))
            audit.record(
                connection,
                at=now,
                actor=actor,
                environment_key=before.notification.environment_key or "",
                subject=f"notification_delivery:{before.id}",
                action="send_again",
                before={"state": state.value, "attempts": before.attempts},
                after={"state": DeliveryState.WAITING.value, "attempts": 0},
            )
            after = _get(connection, delivery_id)
            if dry_run:
                connection.rollback()
        return after

    def lose_unsent_messages(self) -> None:
        """Mark what waits for targets of apprise as lost: in a restored registry, which may have sent it since."""
        is_open = deliveries.c.state.in_([state.value for state in OPEN])
        of_apprise = deliveries.c.kind == TargetKind.APPRISE.value
        values = {"state": DeliveryState.LOST.value, "error": RESTORED}
        with writing(self.database) as connection:
            connection.execute(update(deliveries).where(is_open, of_apprise).values(values))

    def undelivered(self, experiment_id: int) -> Sequence[Delivery]:
        """Return the deliveries of an experiment that have not arrived, of whatever state, the oldest first."""
        states = (*OPEN, *UNDELIVERED)
        return self.list(states=states, experiment_id=experiment_id)[::-1]

    def targets_that_wait(self) -> set[str]:
        """Return the keys of the targets for which a delivery is open, due or not."""
        is_open = deliveries.c.state.in_([state.value for state in OPEN])
        with reading(self.database) as connection:
            return set(connection.scalars(select(deliveries.c.target).where(is_open).distinct()))

    def count_by_state(self) -> dict[tuple[str, DeliveryState], int]:
        """Return the number of deliveries by target and state, as it is stored."""
        statement = select(deliveries.c.target, deliveries.c.state, func.count()).group_by(
            deliveries.c.target, deliveries.c.state
        )
        with reading(self.database) as connection:
            return {(target, DeliveryState(state)): count for target, state, count in connection.execute(statement)}

    def delete_delivered(self, before: datetime) -> int:
        """Delete the notifications from before a moment whose every delivery has arrived, and return how many.

        What is dead or lost stays until it is sent again.
        """
        left = select(deliveries.c.notification_id).where(deliveries.c.state != DeliveryState.DELIVERED.value)
        over = select(notifications.c.id).where(notifications.c.created_at < before, notifications.c.id.not_in(left))
        with writing(self.database) as connection:
            ids = connection.scalars(over).all()
            connection.execute(delete(deliveries).where(deliveries.c.notification_id.in_(ids)))
            return connection.execute(delete(notifications).where(notifications.c.id.in_(ids))).rowcount


def write_notifications(
    connection: Connection, experiment_id: int, phase: int, occurrences: Sequence[Occurrence], *, now: datetime
) -> None:
    """Write what is new among the occurrences of an experiment to the outbox, in the transaction of what they tell.

    One that no target wants is not written, and neither is one that was written before.
    """
    targets = [target for target in list_targets(connection) if target.enabled] if occurrences else []
    if not targets:
        return
    names = (experiments.c.environment_key, experiments.c.key, experiments.c.name)
    experiment = connection.execute(select(*names).where(experiments.c.id == experiment_id)).one()
    for each in occurrences:
        wanted = [it for it in targets if it.wants(each.event, experiment.environment_key, experiment.key)]
        values = {
            "key": f"msg_{uuid4().hex}",
            "environment_key": experiment.environment_key,
            "experiment_id": experiment_id,
            "phase": phase,
            "event": each.event.value,
            "occasion": each.occasion,
            "experiment_key": experiment.key,
            "experiment_name": experiment.name,
            "created_at": now,
            "facts": each.facts,
        }
        if wanted and (number := _insert_new(connection, values)) is not None:
            rows = [
                {
                    "notification_id": number,
                    "target": target.key,
                    "kind": target.kind.value,
                    "state": DeliveryState.WAITING.value,
                    "attempts": 0,
                    "next_attempt_at": now,
                }
                for target in wanted
            ]
            connection.execute(insert(deliveries), rows)


def _insert_new(connection: Connection, values: dict[str, Any]) -> int | None:
    """Return the number of a notification that was inserted; None where there is one of its occasion."""
    same = select(notifications.c.id).where(
        *(notifications.c[name] == values[name] for name in ("experiment_id", "phase", "event", "occasion"))
    )
    if connection.scalar(same) is not None:
        return None
    try:
        with connection.begin_nested():
            number: int = connection.execute(
                insert(notifications).values(values).returning(notifications.c.id)
            ).scalar_one()
            return number
    except IntegrityError:  # another transaction has written it meanwhile
        return None


def _select() -> Any:
    columns = [column.label(f"notification_{column.name}") for column in notifications.columns if column.name != "id"]
    return select(deliveries, *columns).join(notifications, notifications.c.id == deliveries.c.notification_id)


def _first_open(connection: Connection, target: str) -> RowMapping | None:
    is_open: ColumnElement[bool] = deliveries.c.state.in_([state.value for state in OPEN])
    first = _select().where(deliveries.c.target == target, is_open).order_by(deliveries.c.notification_id).limit(1)
    row: RowMapping | None = connection.execute(first.with_for_update(of=deliveries)).mappings().one_or_none()
    return row


def _sent_within_a_minute(connection: Connection, target: str, now: datetime) -> int:
    since = now - timedelta(minutes=1)
    recent = (deliveries.c.target == target) & (deliveries.c.attempted_at > since) & (deliveries.c.attempted_at <= now)
    return connection.scalar(select(func.count()).select_from(deliveries).where(recent)) or 0


def _get(connection: Connection, delivery_id: int) -> Delivery:
    row = connection.execute(_select().where(is_id(deliveries.c.id, delivery_id))).mappings().one_or_none()
    if row is None:
        raise NotFound(f"No delivery {delivery_id}. `experiment-pipeline notifications list` has them.")
    return _decode(row)


def _close(connection: Connection, delivery: Delivery, **values: Any) -> None:
    """Change a delivery, unless another sender has acquired it since."""
    is_mine = (deliveries.c.id == delivery.id) & (deliveries.c.attempts == delivery.attempts)
    is_sent = deliveries.c.state == DeliveryState.SENDING.value
    connection.execute(update(deliveries).where(is_mine, is_sent).values(values))


def _decode(row: RowMapping) -> Delivery:
    experiment = ExperimentNamed(
        row["notification_experiment_id"],
        row["notification_experiment_key"],
        row["notification_experiment_name"],
        row["notification_phase"],
    )
    names = ("id", "target", "attempts", "next_attempt_at", "attempted_at", "delivered_at", "error")
    return Delivery(
        **{name: row[name] for name in names},
        kind=TargetKind(row["kind"]),
        state=DeliveryState(row["state"]),
        notification=Notification(
            row["notification_key"],
            row["notification_event"],
            row["notification_environment_key"],
            experiment,
            row["notification_created_at"],
            row["notification_facts"],
        ),
    )
