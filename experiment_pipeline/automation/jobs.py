"""Jobs: selections of assets, started by sensors, schedules and people."""

import dagster as dg

ingest_events = dg.define_asset_job(
    "ingest_events",
    # As text it would be parsed, and the parser takes a tenth of a second to load.
    selection=dg.AssetSelection.assets("events"),
    description="Ingest every landing object that is not in the lake yet.",
)

refresh_experiment = dg.define_asset_job(
    "refresh_experiment",
    selection=dg.AssetSelection.assets("first_exposures").downstream(),
    description="Compute and publish one experiment's exposures and results.",
)
