"""Jobs: selections of assets, started by sensors, schedules and people."""

import dagster as dg

from experiment_pipeline.assets.look_tables import GROUP

TABLES = dg.AssetSelection.groups(GROUP)

ingest_events = dg.define_asset_job(
    "ingest_events",
    # As text it would be parsed, and the parser takes a tenth of a second to load.
    selection=dg.AssetSelection.assets("events"),
    description="Ingest every landing object that is not in the lake yet.",
)

refresh_experiment = dg.define_asset_job(
    "refresh_experiment",
    selection=dg.AssetSelection.assets("first_exposures").downstream() - TABLES,
    description="Compute and publish one experiment's exposures and results.",
)

write_tables = dg.define_asset_job(
    "write_tables",
    selection=TABLES,
    description="Write every look that was published and is not in the tables yet.",
)
