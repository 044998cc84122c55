"""Costs of refreshes: how often each asset was computed incrementally, what that read, and what it saved (rule I1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, case, func, insert, select, update

from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.refresh_cost_tables import refresh_costs
from experiment_pipeline.registry.tables import experiments


@dataclass(frozen=True, slots=True)
class RefreshCost:
    """The cost of one refresh of an asset, or of all refreshes of all experiments.

    Attributes:
        incremental: how many read what was new alone.
        full: how many read everything.
        rows_read: events, or exposures, that the engine took in.
        seconds_saved: less than the last full refresh took; negative where it took longer.
        state_bytes: of the states that are kept now, of experiments that are not deleted.
    """

    asset: str
    incremental: int
    full: int
    rows_read: int
    seconds_saved: float
    state_bytes: int


@dataclass(frozen=True, slots=True)
class RefreshCosts:
    """Store of the costs of refreshes, added up for each experiment and asset."""

    database: Database

    def add(self, experiment_id: int, cost: RefreshCost) -> None:
        """Add the cost of one refresh; its state is the one that is kept now."""
        kept = and_(refresh_costs.c.experiment_id == experiment_id, refresh_costs.c.asset == cost.asset)
        added = {name: getattr(cost, name) for name in ADDED}
        with writing(self.database) as connection:
            sums = {name: refresh_costs.c[name] + number for name, number in added.items()}
            changed = connection.execute(update(refresh_costs).where(kept).values(state_bytes=cost.state_bytes, **sums))
            if not changed.rowcount:  # its run holds the lease of the experiment: nobody else adds the row
                row = {"experiment_id": experiment_id, "asset": cost.asset, "state_bytes": cost.state_bytes}
                connection.execute(insert(refresh_costs).values(row | added))

    def by_asset(self) -> Sequence[RefreshCost]:
        """Return the costs of all refreshes of all experiments, one for each asset."""
        kept = case((experiments.c.deleted_at.is_(None), refresh_costs.c.state_bytes), else_=0)
        sums = [func.sum(refresh_costs.c[name]).label(name) for name in ADDED]
        statement = (
            select(refresh_costs.c.asset, *sums, func.sum(kept).label("state_bytes"))
            .join(experiments, experiments.c.id == refresh_costs.c.experiment_id)
            .group_by(refresh_costs.c.asset)
            .order_by(refresh_costs.c.asset)
        )
        with reading(self.database) as connection:
            rows = connection.execute(statement).all()
        return [
            RefreshCost(
                row.asset,
                int(row.incremental),
                int(row.full),
                int(row.rows_read),
                float(row.seconds_saved),
                int(row.state_bytes),
            )
            for row in rows
        ]


ADDED = ("incremental", "full", "rows_read", "seconds_saved")
