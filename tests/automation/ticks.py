"""Ticks of the daemon, called as it calls them, and what to find when they come."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.sensor_definition import SensorExecutionData

from experiment_pipeline.automation import sensors as automation
from experiment_pipeline.domain.drafts import AttachmentDraft, ExperimentDraft, VariantDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.resources.dagster_instance import config_of, run_here
from experiment_pipeline.resources.refresh_session import RefreshSession
from tests.assets.conftest import Installation


def runs(installation: Installation, **settings: object) -> RefreshSession:
    return RefreshSession(installation.registry, installation.settings.model_copy(update=settings))


def tick(
    installation: Installation, sensor: dg.SensorDefinition, cursor: str | None = None, **settings: object
) -> SensorExecutionData:
    """One evaluation by Dagster, partitions of the requests checked."""
    resources = {"runs": runs(installation, **settings), "lake": (installation.definitions.resources or {})["lake"]}
    with (
        dg.build_sensor_context(
            instance=installation.instance,
            cursor=cursor,
            repository_def=installation.definitions.get_repository_def(),
            resources=resources,
        ) as context,
        partition_loading_context(dynamic_partitions_store=installation.instance),
    ):
        return sensor.evaluate_tick(context)


def requests(installation: Installation, **settings: object) -> list[dg.RunRequest]:
    return list(tick(installation, automation.refresh_requests, None, **settings).run_requests or [])


def partitions_of(request: dg.RunRequest) -> list[str]:
    """Return the partition of one experiment, or of the several in the run's config."""
    if request.partition_key is not None:
        return [request.partition_key]
    config = request.run_config["ops"]["refresh_several"]["config"]["partition_keys"]
    return [str(key) for key in config]


def start(installation: Installation, count: int) -> list[Experiment]:
    """More running experiments."""
    now = datetime.now(UTC)
    started = []
    for number in range(count):
        draft = ExperimentDraft(
            name=f"more {number}",
            hypothesis="",
            feature=f"more-{number}",
            variants=(VariantDraft("b", 50),),
            metrics=(AttachmentDraft("bought", ExpectedDirection.INCREASE),),
        )
        created = installation.registry.experiments.create("prod", draft, actor="test", now=now)
        started.append(
            installation.registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor="test", now=now)
        )
    return started


def ask(installation: Installation, experiment: Experiment) -> int:
    """A user's request; its claim's id."""
    now = datetime.now(UTC)
    return installation.registry.claims.create(
        experiment.id, Computation.RESULTS, ClaimSource.API, now, timedelta(0)
    ).id


def fresh(installation: Installation) -> None:
    """Everything that is due, refreshed."""
    keys = [installation.partition(key) for key in ("checkout", "banner")]
    config = config_of(dict.fromkeys(keys, 1))
    assert run_here(installation.definitions, "refresh_experiments", installation.instance, config=config).success
