"""Targets of notifications in the registry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection as Transaction
from sqlalchemy import insert, select, update

from experiment_pipeline.domain.notification_targets import (
    Target,
    TargetDraft,
    check_target,
    from_declared,
    to_declared,
)
from experiment_pipeline.domain.texts import printable, suggestion
from experiment_pipeline.errors import ConfigurationError, NotFound
from experiment_pipeline.registry import audit, environments
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.notification_tables import notification_targets
from experiment_pipeline.registry.sources import EVERY_ENVIRONMENT


@dataclass(frozen=True, slots=True)
class NotificationTargets:
    """Store of the targets of notifications."""

    database: Database

    def list(self) -> Sequence[Target]:
        """Return every target, by key."""
        with reading(self.database) as transaction:
            return list_targets(transaction)

    def find(self, key: str) -> Target:
        """Return one target. Raises NotFound where none has this key."""
        known = {target.key: target for target in self.list()}
        if key not in known:
            there_are = f" There are {', '.join(sorted(known)[:10])}." if known else ""
            near = suggestion(key, known) or there_are or " There is none yet: declare it under notifications."
            raise NotFound(f"No target '{printable(key)}' of notifications.{near}")
        return known[key]

    def declare(self, key: str, draft: TargetDraft, *, actor: str, now: datetime) -> Target:
        """Add a target, or change it. Notifications that were written before it was added do not go there.

        Raises:
            ConfigurationError: the draft breaks a rule, or an environment that it names does not exist; names the
                fields.
        """
        check_target(key, draft)
        declared = to_declared(draft)
        after = from_declared(key, declared)
        with writing(self.database) as transaction:
            for place, environment_key in enumerate(after.environments):
                try:
                    environments.require(transaction, environment_key)
                except NotFound as missing:
                    raise ConfigurationError.of(f"environments.{place}", str(missing)) from None
            before = next((target for target in list_targets(transaction) if target.key == key), None)
            if before == after:
                return after
            values = {"declared": declared, "updated_at": now}
            if before is None:
                transaction.execute(insert(notification_targets).values(key=key, created_at=now, **values))
            else:
                of_key = notification_targets.c.key == key
                transaction.execute(update(notification_targets).where(of_key).values(values))
            audit.record(
                transaction,
                at=now,
                actor=actor,
                environment_key=EVERY_ENVIRONMENT,
                subject=f"notification_target:{key}",
                action="create" if before is None else "change",
                before=before,
                after=after,
            )
        return after


def list_targets(transaction: Transaction) -> Sequence[Target]:
    """Return every target, by key, within a transaction."""
    rows = transaction.execute(select(notification_targets).order_by(notification_targets.c.key))
    return [from_declared(row.key, row.declared) for row in rows]
