"""The installation: the id that registry and lake share, and the lake that the registry belongs to (rule E7).

Both are fixed when the first batch is ingested. A registry that is copied or restored keeps them.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain.batches import Installation
from experiment_pipeline.errors import Conflict
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.tables import installation

ONLY = 1  # the id of the one row


@dataclass(frozen=True, slots=True)
class Installations:
    """Store of the one row that says which installation a registry is of."""

    database: Database

    def get(self) -> Installation | None:
        """Return the installation; None before the first ingestion."""
        with reading(self.database) as connection:
            row = connection.execute(select(installation.c.identity, installation.c.lake)).one_or_none()
        return None if row is None else Installation(identity=row.identity, lake=row.lake)

    def bind(self, lake: str, now: datetime, *, identity: str | None = None, replaces: str | None = None) -> str:
        """Record which lake the registry belongs to, unless it is recorded already.

        Args:
            lake: the id of the lake's table of events.
            now: UTC.
            identity: of the installation, where the lake knows it; None to make one. A known one stays.
            replaces: the lake that the registry belonged to and that is gone.

        Returns:
            The installation's id, which the lake's commits carry.

        Raises:
            Conflict: the registry belongs to another lake.
        """
        with writing(self.database) as connection:
            known = Installations(connection).get()
            if known is None:
                values = {"id": ONLY, "identity": identity or str(uuid4()), "lake": lake, "created_at": now}
                try:
                    with connection.begin_nested():
                        connection.execute(insert(installation).values(values))
                except IntegrityError:  # another process was faster
                    pass
                known = Installations(connection).get()
                assert known is not None  # noqa: S101 - it is there, whichever process made it
            elif known.lake == replaces:
                connection.execute(update(installation).values(lake=lake))
                known = Installation(known.identity, lake)
        if known.lake != lake:
            raise Conflict(f"The registry belongs to another lake, {known.lake}, than this one, {lake}.")
        return known.identity
