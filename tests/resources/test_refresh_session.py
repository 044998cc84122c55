"""The session of one run: which lease it holds, and when it asks for it again (rule R7)."""

from datetime import datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import select

from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.engine import reading
from experiment_pipeline.resources.refresh_session import RefreshSession
from tests.assets.conftest import Installation


def expiries(installation: Installation) -> list[datetime]:
    with reading(installation.registry.engine) as connection:
        return list(connection.scalars(select(tables.leases.c.expires_at)))


@pytest.mark.parametrize(
    ("lease_duration", "renewed"), [(timedelta(hours=1), False), (timedelta(microseconds=1), True)]
)
def test_acquire__by_the_stages_of_one_run__asks_for_the_lease_again_after_half_of_its_duration(
    installation: Installation, lease_duration: timedelta, renewed: bool
) -> None:
    settings = installation.settings.model_copy(update={"lease_duration": lease_duration})
    session, experiment = RefreshSession(installation.registry, settings), installation.experiment()
    dagster_run = installation.instance.create_run_for_job(dg.job(name="any")(lambda: None))
    first = session.acquire(experiment, dagster_run, *Computation)
    (before,) = expiries(installation)
    second = session.acquire(experiment, dagster_run, Computation.RESULTS)
    (after,) = expiries(installation)
    assert second.run == first.run
    assert second.acquired == first.acquired
    assert (after > before) == renewed
    session.release()
    assert expiries(installation) == []
