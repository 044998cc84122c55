"""The session of one run: which lease it holds, and that every stage asks for it (rule R7)."""

from datetime import UTC, datetime

import dagster as dg
import pytest
from sqlalchemy import select

from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.errors import Leased
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.engine import reading
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.warehouse import WarehouseResource
from experiment_pipeline.warehouse.base import Warehouse
from tests.assets.conftest import Installation


def embedded(installation: Installation) -> Warehouse:
    engines = (installation.definitions.resources or {})["warehouse"]
    assert isinstance(engines, WarehouseResource)
    return engines.engine()


def expiries(installation: Installation) -> list[datetime]:
    with reading(installation.registry.engine) as connection:
        return list(connection.scalars(select(tables.leases.c.expires_at)))


def test_acquire__by_every_stage_of_one_run__renews_its_lease(installation: Installation) -> None:
    session, experiment = RefreshSession(installation.registry, installation.settings), installation.experiment()
    dagster_run = installation.instance.create_run_for_job(dg.job(name="any")(lambda: None))
    first = session.acquire(experiment, dagster_run, embedded(installation), *Computation)
    (before,) = expiries(installation)
    second = session.acquire(experiment, dagster_run, embedded(installation), Computation.RESULTS)
    (after,) = expiries(installation)
    assert second.run == first.run
    assert second.acquired == first.acquired
    assert after > before
    session.release()
    assert expiries(installation) == []


def test_acquire__by_a_run_that_was_closed_as_dead_and_lives__is_refused_while_another_has_the_lease(
    installation: Installation,
) -> None:
    experiment = installation.experiment()
    first, second = (
        installation.instance.create_run_for_job(dg.job(name=name)(lambda: None)) for name in ("first", "second")
    )
    taken_for_dead = RefreshSession(installation.registry, installation.settings)
    taken_for_dead.acquire(experiment, first, embedded(installation), *Computation)
    installation.registry.runs.close_dead_run(first.run_id, None, datetime.now(UTC))
    RefreshSession(installation.registry, installation.settings).acquire(
        experiment, second, embedded(installation), *Computation
    )
    with pytest.raises(Leased):
        taken_for_dead.acquire(experiment, first, embedded(installation), *Computation)
