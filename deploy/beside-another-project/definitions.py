"""A project as many are: its assets are in a package `assets`, as the pipeline's sources are."""

import dagster as dg

from assets import orders

defs = dg.Definitions(assets=dg.load_assets_from_modules([orders]))
