"""Keys of experiments: which are taken, which may be used again, and what a new experiment conflicts with (L2, L6)."""

from sqlalchemy import Connection, exists, select, update

from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.errors import Conflict
from experiment_pipeline.registry import looks
from experiment_pipeline.registry.experiment_rows import ALIVE
from experiment_pipeline.registry.tables import experiments


def release_key(connection: Connection, environment_key: str, key: str) -> None:
    """Free the key of a deleted experiment, unless a look of it counted an identity (rule L6).

    Its row keeps a key that no experiment can have; the audit log and its partition key have the old one.
    """
    is_deleted = experiments.c.deleted_at.is_not(None)
    of_key = select(experiments.c.id).where(
        experiments.c.environment_key == environment_key, experiments.c.key == key, is_deleted
    )
    deleted = connection.scalar(of_key.with_for_update())
    if deleted is not None and not looks.have_counted(connection, deleted):
        connection.execute(update(experiments).where(experiments.c.id == deleted).values(key=f"~{deleted}"))


def key_is_taken(connection: Connection, environment_key: str, key: str) -> bool:
    """Return whether an experiment of the environment has the key, or had it."""
    taken = exists().where(experiments.c.environment_key == environment_key, experiments.c.key == key)
    return bool(connection.scalar(select(taken)))


def conflict(connection: Connection, environment_key: str, key: str, feature: str) -> Conflict:
    """Return the error for the unique index that a new experiment conflicts with (rules L2, L6)."""
    active = exists().where(
        experiments.c.environment_key == environment_key,
        experiments.c.feature == feature,
        experiments.c.status != ExperimentStatus.COMPLETED.value,
        ALIVE,
    )
    if connection.scalar(select(active)):
        return Conflict("An active experiment already exists for this feature.")
    return Conflict(f"An experiment with the key '{key}' already exists or existed in this environment.")
