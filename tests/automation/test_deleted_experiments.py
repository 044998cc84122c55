"""Deleted experiments: what mirrors the registry in Dagster and on disk shrinks with it."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.automation import sensors
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.resources.dagster_instance import run_here
from tests.assets.conftest import Installation, crowd
from tests.automation.ticks import tick


def partitions(installation: Installation) -> set[str]:
    return set(installation.instance.get_dynamic_partitions(EXPERIMENTS.name or ""))


def files(installation: Installation) -> set[str]:
    root = installation.settings.artifacts_dir
    return {path.relative_to(root).as_posix() for path in root.glob("*/*.parquet")}


def delete(installation: Installation, key: str) -> None:
    experiments, now = installation.registry.experiments, datetime.now(UTC)
    experiment = installation.experiment(key)
    experiments.transition(experiment.id, ExperimentStatus.PAUSED, actor="test", now=now)
    experiments.delete(experiment.id, actor="test", now=now)


def age(root: Path, by: timedelta) -> None:
    """Let every file have been written that long ago."""
    written_at = (datetime.now(UTC) - by).timestamp()
    for path in root.glob("*/*.parquet"):
        os.utime(path, (written_at, written_at))


def test_refresh_requests__of_a_deleted_experiment__its_partition_goes_and_the_others_stay(
    installation: Installation,
) -> None:
    kept, gone = installation.partition("banner"), installation.partition("checkout")
    delete(installation, "checkout")
    assert partitions(installation) == {kept, gone}
    tick(installation, sensors.refresh_requests)
    assert partitions(installation) == {kept}


def test_clean_up__of_a_deleted_experiment__its_artifacts_and_partition_go_after_a_day(
    installation: Installation,
) -> None:
    installation.land("first", crowd(5, 5))
    installation.ingest()
    for key in ("banner", "checkout"):
        installation.refresh(key)
    kept, gone = installation.partition("banner"), installation.partition("checkout")
    before = files(installation)
    delete(installation, "checkout")
    run_here(installation.definitions, "clean_up", installation.instance)
    assert partitions(installation) == {kept}
    assert files(installation) == before, "a run may still be at work"
    age(installation.settings.artifacts_dir, timedelta(days=2))
    other = installation.settings.artifacts_dir / "notes" / "mine.parquet"
    other.parent.mkdir()
    other.write_bytes(b"")
    os.utime(other, (0, 0))
    run_here(installation.definitions, "clean_up", installation.instance)
    assert files(installation) == {name for name in before if gone not in name} | {"notes/mine.parquet"}
    assert len(files(installation)) == len(before) // 2 + 1
