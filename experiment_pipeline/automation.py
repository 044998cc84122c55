"""Jobs, and running them in this process: what sensors, schedules and the command line use."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path

import dagster as dg

ingest_events = dg.define_asset_job(
    "ingest_events", selection=["events"], description="Ingest every landing object that is not in the lake yet."
)

refresh_experiment = dg.define_asset_job(
    "refresh_experiment",
    selection=dg.AssetSelection.assets("first_exposures").downstream(),
    description="Compute and publish one experiment's exposures and results.",
)

QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


def open_instance(home: Path) -> dg.DagsterInstance:
    """The persistent Dagster instance in a folder, made with the shipped dagster.yaml where there is none."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        with as_file(files("experiment_pipeline").joinpath("dagster.yaml")) as shipped:
            shutil.copy(shipped, home / "dagster.yaml")
    return dg.DagsterInstance.from_config(str(home))


def run_here(
    definitions: dg.Definitions, job: str, instance: dg.DagsterInstance, partition_key: str | None = None
) -> dg.ExecuteInProcessResult:
    """Run a job in this process and record it in the instance. Raises what the run raised."""
    if partition_key is not None:
        instance.add_dynamic_partitions("experiment", [partition_key])
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=partition_key, run_config=QUIET
    )
