"""Jobs: what sensors, schedules and the command line run."""

import dagster as dg

ingest_events = dg.define_asset_job(
    "ingest_events", selection=["events"], description="Ingest every landing object that is not in the lake yet."
)

refresh_experiment = dg.define_asset_job(
    "refresh_experiment",
    selection=dg.AssetSelection.assets("first_exposures").downstream(),
    description="Compute and publish one experiment's exposures and results.",
)
