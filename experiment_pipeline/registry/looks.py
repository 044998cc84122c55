"""Looks: the payloads that were published of an experiment, and whether any of them has counted somebody."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry.tables import payloads


def have_counted(connection: Connection, experiment_id: int) -> bool:
    """Return whether a look was published that counts an identity: from then on its start and its key stay (L1, L6)."""
    statement = (
        select(payloads.c.computation, payloads.c.payload)
        .where(payloads.c.experiment_id == experiment_id)
        .order_by(payloads.c.id.desc())  # of all looks the newest counts most
        .execution_options(yield_per=10)
    )
    with connection.execute(statement) as looks:
        return any(_counts(Computation(look.computation), look.payload) for look in looks)


def _counts(computation: Computation, payload: Mapping[str, Any]) -> bool:
    if computation is Computation.EXPOSURES:
        return bool(payload["excluded_identities"] or payload["timeseries"]["points"])
    return any(payload["srm"]["identities"].values())
