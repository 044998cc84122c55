"""The code location: assets, resources and automation put together. No logic lives here."""

import warnings

import dagster as dg

from experiment_pipeline.assets import aggregates, events, exposures, look_tables, results
from experiment_pipeline.assets.ownership import with_owners
from experiment_pipeline.assets.sources import with_sources
from experiment_pipeline.automation import jobs, notifications, schedules, sensors
from experiment_pipeline.automation.batched_refresh import refresh_experiments
from experiment_pipeline.automation.maintenance import clean_up, compact_lake
from experiment_pipeline.resources.io_manager import frame_io_manager
from experiment_pipeline.resources.loaded_sources import NO_SOURCES, LoadedSources
from experiment_pipeline.resources.refresh_session import runs_resource
from experiment_pipeline.resources.warehouse import lake_resource, warehouse_resource
from experiment_pipeline.settings import Settings, settings

# Dagster hands every sensor's `owners` on by itself, and then warns that it is beta.
warnings.filterwarnings("ignore", message="Parameter `owners` of initializer", category=dg.BetaWarning)
warnings.filterwarnings("ignore", message="Function `Definitions.with_recon", category=dg.PreviewWarning)


def build(configured: Settings, loaded: LoadedSources = NO_SOURCES) -> dg.Definitions:
    """Return the definitions over one installation's settings, and the sources that it is loaded with."""
    lake = lake_resource(configured)
    modules = [events, exposures, aggregates, results, look_tables]
    return dg.Definitions(
        assets=with_owners(with_sources(modules, loaded.sources), configured.owners),
        jobs=[
            *(jobs.ingest_events, jobs.refresh_experiment, refresh_experiments),
            *(jobs.write_tables, clean_up, compact_lake),
        ],
        sensors=[
            *(sensors.landing_objects, sensors.refresh_requests, sensors.look_tables, sensors.failed_runs),
            notifications.notifications,
            *sensors.source_pulls(loaded.sources),
        ],
        schedules=[schedules.hourly_refresh, schedules.daily_clean_up, schedules.hourly_compaction],
        # A job's own executor does not apply to UI materialisations; in one process a run costs seconds less, and the
        # run's resources, its leases among them, live exactly as long as the run.
        executor=dg.in_process_executor,
        resources={
            "runs": runs_resource(configured),
            "lake": lake,
            "warehouse": warehouse_resource(configured, lake),
            "loaded_sources": dg.ResourceDefinition.hardcoded_resource(loaded),
            "io_manager": frame_io_manager(configured),
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions over this process's settings and the sources of its registry."""
    loaded = LoadedSources.of_process(settings())
    return build(settings(), loaded).with_reconstruction_metadata(loaded.state)
