"""First exposures brought up to date: those that are known, together with those of the exposures that came since.

What is known of an identity is the smallest (time, variant) of its exposures, and whether there are several variants
among them (rules X2, X3). Of two sets of exposures this follows from what is known of each, whatever the order.
"""

import polars as pl

IDENTITY = "identity_hash"
OF_EXPOSURES = ("first_exposed_at_ms", "variant", "quarantined")  # beside the identity


def brought_up_to_date(known: pl.DataFrame, entering: pl.DataFrame) -> pl.DataFrame:
    """Return the first exposures of two sets of exposures together.

    Args:
        known: a row per identity, sorted by `identity_hash`, with the columns of the artifact.
        entering: a row per identity of the exposures that came since: `identity_hash`, `first_exposed_at_ms`,
            `variant`, `quarantined`.

    Returns:
        Rows as those of `known`, sorted; `entered_at_ms` is the first exposure.
    """
    both = entering.join(known, on=IDENTITY, how="left", suffix="_known")
    is_known = pl.col("variant_known").is_not_null()
    at, at_known = pl.col("first_exposed_at_ms"), pl.col("first_exposed_at_ms_known")
    variant, variant_known = pl.col("variant"), pl.col("variant_known")
    known_is_first = is_known & ((at_known < at) | ((at_known == at) & (variant_known <= variant)))
    first_at = pl.when(known_is_first).then(at_known).otherwise(at)
    merged = both.select(
        IDENTITY,
        first_at.alias("first_exposed_at_ms"),
        pl.when(known_is_first).then(variant_known).otherwise(variant).alias("variant"),
        (pl.col("quarantined") | (is_known & (pl.col("quarantined_known") | (variant_known != variant)))),
        first_at.alias("entered_at_ms"),
    ).sort(IDENTITY)
    untouched = known.join(merged.select(IDENTITY), on=IDENTITY, how="anti", maintain_order="left")
    return untouched.merge_sorted(merged, key=IDENTITY)
