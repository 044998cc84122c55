"""Columns of the assets, with a sentence each, as Dagster's pages show them."""

import dagster as dg

from experiment_pipeline.lake.delta import EVENTS
from experiment_pipeline.warehouse.frame_schemas import COLUMNS

SCHEMA = "dagster/column_schema"  # names that Dagster's pages know
PARTITION_ROWS = "dagster/partition_row_count"
ROWS = "dagster/row_count"

MEANINGS = {
    "bucket": "beginning of the hour or day, UTC",
    "c_xy": "sum of products of deviations of the value and of the other one: the denominator, or before the exposure",
    "cap": "values above it count as it (rule M10)",
    "cap_x": "the same of the denominator, or of the values before the exposure",
    "capped": "identities whose value the cap touched",
    "capped_x": "the same of the denominator, or of the values before the exposure",
    "chance_to_win": "that the treatment is the better one, by this look alone",
    "effect": "treatment less control, in the metric's unit",
    "effect_high": "upper end of the effect's credible interval",
    "effect_low": "lower end of the effect's credible interval",
    "expected_loss": "per identity, of shipping the treatment if that is the wrong decision",
    "expected_share": "share of the traffic that is configured, 0 to 1",
    "floor": "values below it count as it (rule M10)",
    "floor_x": "the same of the denominator, or of the values before the exposure",
    "floored": "identities whose value the floor touched",
    "floored_x": "the same of the denominator, or of the values before the exposure",
    "identities": "identities that are analysed, those without a value included",
    "invalid_values": "events whose value is not a number (rule E5)",
    "is_other": "whether the row is of all values beyond the largest ones",
    "largest": "the largest value of an identity",
    "lift": "the effect relative to control: 0.1 is ten per cent",
    "lift_high": "upper end of the lift's credible interval",
    "lift_low": "lower end of the lift's credible interval",
    "m2": "sum of squared deviations from the mean",
    "m2_x": "the same of the denominator, or of the values before the exposure",
    "mean": "mean of the identities' values",
    "mean_x": "mean of the denominator, or of the values before the exposure",
    "metric_id": "the metric, by its id in the registry",
    "mixed_fields": "types of the properties that conditions compare, where they are mixed; JSON",
    "n": "identities that are in the metric",
    "name": "of the part: number of the step, property, or dimension",
    "new_identities": "identities whose first exposure lies in the bucket",
    "nonzero": "identities whose value is not 0",
    "nonzero_x": "identities whose denominator is not 0",
    "not_mature": "identities that wait for their window to end (rule M8)",
    "part": "step, slice, dimension or sensitivity; null for the whole metric",
    "p_value": "of the split being as configured, for one look",
    "anytime_p_value": "the same, valid at every refresh at once",
    "quantile": "the quantile of the values",
    "quantile_high": "upper end of its interval",
    "quantile_low": "lower end of its interval",
    "quarantined": "whether they saw several variants, and are left out (rule X3)",
    "reason": "why a number is withheld; null where it is not",
    "split_calls": "how often control, split in two, disagreed with itself",
    "split_reason": "why control was not split in two",
    "treatment": "the variant that is compared with control",
    "value": "of the part: the value of its property or dimension",
    "values": "events whose value the metric reads",
    "variant": "key of the variant",
    "with_event": "identities with an event of the metric",
    "with_value": "identities that have a value",
}
FIRST_EXPOSURES = {
    "identity_hash": ("BIGINT", "64-bit hash of the identity"),
    "first_exposed_at_ms": ("BIGINT", "time of the first exposure in the window, milliseconds since 1970, UTC"),
    "variant": ("VARCHAR", "the variant that was seen first"),
    "quarantined": ("BOOLEAN", "whether several variants were seen (rule X3)"),
    "entered_at_ms": ("BIGINT", "where the analysis of the identity starts; null where it never entered (rule M19)"),
}
EVENT_MEANINGS = {
    "environment_key": "the environment that the event was sent to",
    "month": "of the timestamp, UTC: YYYY-MM",
    "event": "name of the event; `$flag_exposure` is an exposure",
    "feature_name": "the flag, of an exposure",
    "identifier": "who did it",
    "identity_hash": "64-bit hash of the identifier",
    "value": "value of the event, or the variant of an exposure, as text",
    "numeric_value": "the value as a number (rule E5)",
    "timestamp": "when it happened, UTC",
    "traits": "properties of the identity, JSON",
    "metadata": "properties of the event, JSON",
    "event_id": "the sender's own id",
    "event_hash_high": "first half of the hash that duplicates are found by (rule E4)",
    "event_hash_low": "second half of that hash",
    "landed_at": "when it arrived, UTC",
    "batch": "number of the batch that brought it: data versions count these",
    "source": "the source that brought it; null without one",
    "source_version": "version of the source's query and mapping (rule D5)",
    "source_cursor": "position in the source, where later rows supersede it (rule D7)",
}
PAYLOADS = {  # members of what the API serves
    "exposures": {
        "phase": ("integer", "the phase of the experiment (rule X10)"),
        "excluded_identities": ("integer", "identities that saw several variants (rule X3)"),
        "unlisted_variants": ("integer", "variants that are not listed (rule X6)"),
        "timeseries": ("object", "new identities by variant in each hour or day (rule X4)"),
    },
    "experiment_results": {
        "phase": ("integer", "the phase of the experiment (rule X10)"),
        "earlier_phases": ("integer", "how many phases came before (rule X11)"),
        "srm_p_value": ("number or null", "of the split being as configured, for one look"),
        "trustworthy": ("boolean or null", "whether the split is as configured; null where it cannot be tested"),
        "srm": ("object", "the split and its tests (rules S1 to S3)"),
        "metrics": ("list", "every metric, the primary one first: values, effects, intervals, verdicts"),
        "sensitivity": ("object", "the primary metric as it would be under other declarations"),
        "look": ("object", "the number of the look, and what moved since the one before (rule R9)"),
        "health": ("list", "the health checks that did not pass when these results were published"),
        "decision": ("object", "what to do, by which rule, and why (rule C10)"),
        "engine": ("object", "the warehouse that computed them, and what it left out; only where events lie in one"),
    },
}


def column_schema(asset: str) -> dict[str, dg.TableSchema]:
    """Return the columns of an asset as metadata of its definition; of a payload its members.

    Raises:
        KeyError: no asset has this name, or a column has no sentence in `MEANINGS`.
    """
    return {SCHEMA: dg.TableSchema(columns=_columns(asset))}


def _columns(asset: str) -> list[dg.TableColumn]:
    if asset in COLUMNS:
        return [dg.TableColumn(name, str(dtype), MEANINGS[name]) for name, dtype in COLUMNS[asset].items()]
    if asset == EVENTS.name:
        fields = EVENTS.schema.fields
        return [dg.TableColumn(each.name, str(each.type.type), EVENT_MEANINGS[each.name]) for each in fields]
    listed = FIRST_EXPOSURES if asset == "first_exposures" else PAYLOADS[asset]
    return [dg.TableColumn(name, dtype, meaning) for name, (dtype, meaning) in listed.items()]
