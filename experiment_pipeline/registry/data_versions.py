"""Data versions that may still be read: removed rows stay in the lake for them (rules E6, R5, R9)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Table, exists, func, or_, select

from experiment_pipeline.domain.removed_rows import DropLimit, NeededVersion
from experiment_pipeline.registry.batches import newest
from experiment_pipeline.registry.engine import Database, reading
from experiment_pipeline.registry.experiment_rows import ALIVE
from experiment_pipeline.registry.tables import batches, computations, experiments, runs

_computation = computations.alias("computation")
_is_open = _computation.c.is_final.is_(False)
_is_unpublished = _computation.c.data_version.is_(None)


@dataclass(frozen=True, slots=True)
class DataVersions:
    """Store of the data versions that are old, and of those that are needed."""

    database: Database

    def drop_limit(self, before: datetime) -> DropLimit:
        """Return up to which batch removed rows may be dropped, all of one moment.

        Needed are the data versions of the published payloads of a phase that is not final as a whole: its next look
        is compared with the newest one, a run never goes back behind it, and a computation goes with one that is final
        already. Where a computation of it has published nothing, those of its runs are, too: they may go on.

        Args:
            before: removals of batches that were committed earlier are old enough; UTC.
        """
        young = or_(batches.c.committed_at >= before, batches.c.committed_at.is_(None))
        with reading(self.database) as connection:
            first_young = connection.scalar(select(func.min(batches.c.number)).where(young))
            aged = newest(connection) if first_young is None else first_young - 1
            needed = [_versions(computations, _is_open), _versions(runs, _is_open & _is_unpublished)]
            rows = [row for query in needed for row in connection.execute(query)]
        found = {NeededVersion(row.environment_key, row.key, row.data_version) for row in rows}
        return DropLimit(aged, tuple(sorted(found)))

    def committed_at(self, batch: int) -> datetime | None:
        """Return when a batch became a data version; None where it is none."""
        with reading(self.database) as connection:
            return connection.scalar(select(batches.c.committed_at).where(batches.c.number == batch))


def _versions(table: Table, condition: ColumnElement[bool]) -> Select[tuple[str, str, int]]:
    """Return the query of a table's data versions, of the phases that have a computation of this condition.

    Without those that see nothing: 0 is a lake without events.
    """
    has_such = exists().where(
        _computation.c.experiment_id == table.c.experiment_id, _computation.c.phase == table.c.phase, condition
    )
    return (
        select(experiments.c.environment_key, experiments.c.key, table.c.data_version)
        .join(experiments, experiments.c.id == table.c.experiment_id)
        .where(ALIVE, table.c.data_version > 0, has_such)
        .distinct()
    )
