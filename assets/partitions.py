"""One dynamic partition per experiment; its key is the registry's `<key>-<id>` (rule L6)."""

import dagster as dg

EXPERIMENTS = dg.DynamicPartitionsDefinition(name="experiment")
