"""How long environments keep their events, and which experiments still need some (rule X8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, select, update

from experiment_pipeline.domain.environments import Environment
from experiment_pipeline.domain.retention import MONTH, SHORTEST_KEEP, NeededEvents, Retention, needed_since
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.registry import audit
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.environments import Environments
from experiment_pipeline.registry.experiments import Experiments
from experiment_pipeline.registry.tables import computations, environments, phases
from experiment_pipeline.times import format_duration, iso_utc


@dataclass(frozen=True, slots=True)
class Retentions:
    """Store of how long environments keep their events."""

    database: Database

    def list(self, now: datetime) -> Sequence[Retention]:
        """Return what each environment keeps at a moment (UTC), of those that do not keep everything."""
        with reading(self.database) as connection:
            known = [each for each in Environments(connection).list() if each.keep is not None]
            return [
                Retention.of(each.key, each.keep, Retentions(connection).needed(each.key), now)
                for each in known
                if each.keep is not None
            ]

    def needed(self, environment_key: str) -> Sequence[NeededEvents]:
        """Return the events that experiments of an environment need: of each phase that is not final."""
        with reading(self.database) as connection:
            found = []
            for experiment in Experiments(connection).list(environment_key):
                is_open = exists().where(
                    computations.c.experiment_id == phases.c.experiment_id,
                    computations.c.phase == phases.c.number,
                    computations.c.is_final.is_(False),
                )
                starts = select(phases.c.started_at).where(phases.c.experiment_id == experiment.id, is_open)
                found += [
                    NeededEvents(experiment.key, needed_since(experiment, started_at))
                    for started_at in connection.scalars(starts)
                    if started_at is not None
                ]
        return found

    def set(self, environment_key: str, keep: timedelta | None, *, actor: str, now: datetime) -> Environment:
        """Set how long an environment keeps its events from now on.

        Args:
            environment_key: of the environment.
            keep: None for ever.
            actor: for the audit log.
            now: UTC.

        Raises:
            ConfigurationError: it is shorter than `SHORTEST_KEEP`, or would cut the window of an experiment that is not
                final (rule X8).
            NotFound: no environment has this key.
        """
        with writing(self.database) as connection:
            before = Environments(connection).get(environment_key)
            if keep is not None and keep != before.keep:
                _check(keep, Retentions(connection).needed(environment_key), now)
            seconds = None if keep is None else int(keep.total_seconds())
            if before.keep != keep:
                mine = environments.c.key == environment_key
                connection.execute(update(environments).where(mine).values(keep_seconds=seconds))
                audit.record(
                    connection,
                    at=now,
                    actor=actor,
                    environment_key=environment_key,
                    subject=f"environment:{environment_key}",
                    action="change",
                    before=before,
                    after=Environments(connection).get(environment_key),
                )
            return Environments(connection).get(environment_key)


def _check(keep: timedelta, needed: Sequence[NeededEvents], now: datetime) -> None:
    if keep < SHORTEST_KEEP:
        raise ConfigurationError.of("keep", f"Must be at least {format_duration(SHORTEST_KEEP)}, or forever.")
    for each in needed:
        if each.since.strftime(MONTH) < (now - keep).strftime(MONTH):
            least = format_duration(timedelta(days=(now - each.since).days + 1))
            raise ConfigurationError.of(
                "keep",
                f"Must be at least {least}, or forever: '{each.experiment_key}' reads events since "
                f"{iso_utc(each.since)} and is not final.",
            )
