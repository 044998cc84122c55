"""Erasures in the registry: keyed hashes of identities, with the moment before which nothing of them may come back."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.erasures import ErasedIdentities, Erasure, digest_of
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.registry import audit, experiments, leases
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.erasure_tables import erased_exposures, erased_objects, erasure_key, erasures
from experiment_pipeline.registry.tables import landing_objects

ONLY = 1  # the id of the key's row
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Erasures:
    """Store of the erasures."""

    database: Database

    def begin(self, environment_key: str, identifier: str, now: datetime) -> Erasure:
        """Record that an identity is erased, from now on; where that had begun before, it goes on with this moment.

        Args:
            environment_key: of its records.
            identifier: is hashed, and not kept.
            now: UTC.
        """
        with writing(self.database) as connection:
            digest = digest_of(_key(connection), identifier)
            is_same = (erasures.c.environment_key == environment_key) & (erasures.c.digest == digest)
            known = connection.scalar(select(erasures.c.id).where(is_same))
            if known is None:
                values = {"environment_key": environment_key, "digest": digest, "erased_at": now}
                known = connection.execute(insert(erasures).values(values).returning(erasures.c.id)).scalar_one()
            else:
                connection.execute(update(erasures).where(is_same).values(erased_at=now, completed_at=None))
        return Erasure(known, environment_key, digest, now)

    def complete(self, erasure: Erasure, counts: Mapping[str, object], *, actor: str, now: datetime) -> None:
        """Record that nothing is left, with what was rewritten, in the audit log as well (rule L5)."""
        mine = erasures.c.id == erasure.id
        with writing(self.database) as connection:
            connection.execute(delete(erased_objects).where(erased_objects.c.erasure_id == erasure.id))
            connection.execute(update(erasures).where(mine).values(completed_at=now))
            audit.record(
                connection,
                at=now,
                actor=actor,
                environment_key=erasure.environment_key,
                subject=f"erasure:{erasure.id}",
                action="erase",
                after=dict(counts),
            )

    def list(self) -> list[Erasure]:
        """Return every erasure, in the order in which they were first begun."""
        columns = (erasures.c.id, erasures.c.environment_key, erasures.c.digest)
        moments = (erasures.c.erased_at, erasures.c.completed_at)
        with reading(self.database) as connection:
            return [Erasure(*row) for row in connection.execute(select(*columns, *moments).order_by(erasures.c.id))]

    def identities(self) -> ErasedIdentities:
        """Return what an ingestion compares its records with."""
        with reading(self.database) as connection:
            rows = connection.execute(select(erasures.c.environment_key, erasures.c.digest, erasures.c.erased_at)).all()
            if not rows:
                return ErasedIdentities()
            moments = {(row.environment_key, row.digest): row.erased_at for row in rows}
            return ErasedIdentities(_key(connection), moments)

    def begin_object(self, erasure: Erasure, name: str, size: int, becomes: int, *, keeps_time: bool = True) -> None:
        """Record that a landing object is about to be replaced by one without the identity, in the ledger as well.

        The ledger follows only where it knows the object as it is: one that has changed since stays a changed one.

        Args:
            erasure: that goes on.
            name: of the object.
            size: in bytes, as it lies there.
            becomes: the size of the one that takes its place.
            keeps_time: whether that one has the same time; otherwise the ledger knows none.
        """
        mine = (erased_objects.c.erasure_id == erasure.id) & (erased_objects.c.name == name)
        with writing(self.database) as connection:
            promised = connection.scalar(select(erased_objects.c.bytes).where(mine))
            objects = landing_objects.c
            newest = (
                select(func.max(objects.reading))
                .where(objects.name == name, objects.retried_batch.is_(None))
                .scalar_subquery()
            )
            is_known = and_(
                objects.name == name, objects.reading == newest, objects.bytes.in_([size, promised or size])
            )
            known = {"bytes": becomes} if keeps_time else {"bytes": becomes, "modified_at": None}
            connection.execute(update(landing_objects).where(is_known).values(known))
            if promised is None:
                connection.execute(insert(erased_objects).values(erasure_id=erasure.id, name=name, bytes=becomes))
            else:
                connection.execute(update(erased_objects).where(mine).values(bytes=becomes))

    def acquire(self, experiment_id: int, erasure: Erasure, now: datetime, lease: timedelta) -> None:
        """Acquire or renew an experiment's lease, so that no run reads or writes what is being rewritten (rule R7).

        Raises:
            Leased: a run has it.
        """
        with writing(self.database) as connection:
            experiment = experiments.lock(connection, experiment_id)
            leases.acquire(connection, experiment, _owner(erasure), now, now + lease)

    def release(self, erasure: Erasure) -> None:
        """Release every lease of an erasure."""
        with writing(self.database) as connection:
            leases.release_all(connection, _owner(erasure))

    def record_exposure(self, erasure: Erasure, experiment_id: int, phase: int, now: datetime) -> None:
        """Record that the last refresh of a phase had counted the identity, before it is taken out."""
        row = {"erasure_id": erasure.id, "experiment_id": experiment_id, "phase": phase}
        mine = and_(*(erased_exposures.c[name] == value for name, value in row.items()))
        with writing(self.database) as connection:
            if connection.execute(update(erased_exposures).where(mine).values(erased_at=now)).rowcount == 0:
                connection.execute(insert(erased_exposures).values(**row, erased_at=now))

    def since(self, experiment: Experiment, moment: datetime) -> int:
        """Return how many identities that refreshes of a phase had counted were erased after a moment (UTC)."""
        exposures = erased_exposures.c
        of_phase = (exposures.experiment_id == experiment.id) & (exposures.phase == experiment.phase)
        with reading(self.database) as connection:
            return (
                connection.scalar(
                    select(func.count())
                    .select_from(erased_exposures)
                    .where(of_phase, erased_exposures.c.erased_at > moment)
                )
                or 0
            )


def _owner(erasure: Erasure) -> str:
    """Return the name that an erasure has leases by, the same when it is gone on with."""
    return f"erasure-{erasure.id}"


def _key(connection: Connection) -> bytes:
    """Return the key of the hash, which is made with the first erasure."""
    known = connection.scalar(select(erasure_key.c.secret))
    if known is None:
        known = secrets.token_hex(KEY_BYTES)
        try:
            with connection.begin_nested():
                connection.execute(insert(erasure_key).values(id=ONLY, secret=known))
        except IntegrityError:  # another process was faster
            known = connection.scalar(select(erasure_key.c.secret)) or known
    return bytes.fromhex(known)
