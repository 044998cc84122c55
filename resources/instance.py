"""The Dagster instance of one installation, and running its jobs in this process."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path

import dagster as dg

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def open_instance(home: Path) -> dg.DagsterInstance:
    """The persistent Dagster instance in a folder, made with the shipped dagster.yaml where there is none."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        with as_file(files("experiment_pipeline").joinpath("dagster.yaml")) as shipped:
            shutil.copy(shipped, home / "dagster.yaml")
    return dg.DagsterInstance.from_config(str(home))


def add_partitions(instance: dg.DagsterInstance, partitions: dg.DynamicPartitionsDefinition, keys: list[str]) -> None:
    """Make Dagster know the partitions of these keys; one that it knows already stays as it is."""
    name = partitions.name or ""
    known = set(instance.get_dynamic_partitions(name))
    if new := [key for key in dict.fromkeys(keys) if key not in known]:
        instance.add_dynamic_partitions(name, new)


def run_here(
    definitions: dg.Definitions, job: str, instance: dg.DagsterInstance, partition_key: str | None = None
) -> dg.ExecuteInProcessResult:
    """Run a job in this process and record it in the instance. Raises what the run raised."""
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=partition_key, run_config=QUIET
    )
