"""First exposures brought up to date: those that are known, together with those of the exposures that came since.

What is known of an identity is the smallest (time, variant) of its exposures, and whether there are several variants
among them (rules X2, X3). Of two sets of exposures this follows from what is known of each, whatever the order.
"""

import numpy as np
import polars as pl

from experiment_pipeline.warehouse.duckdb.population import Integers

IDENTITY = "identity_hash"


def brought_up_to_date(known: pl.DataFrame, entering: pl.DataFrame) -> pl.DataFrame:
    """Return the first exposures of two sets of exposures together; `known` itself where nothing changes.

    Args:
        known: a row per identity, sorted by `identity_hash`, with the columns of the artifact.
        entering: a row per identity of the exposures that came since: `identity_hash`, `first_exposed_at_ms`,
            `variant`, `quarantined`.

    Returns:
        Rows as those of `known`, sorted; `entered_at_ms` is the first exposure.
    """
    entering = entering.sort(IDENTITY)
    hashes, stored = entering[IDENTITY].to_numpy(), known[IDENTITY].to_numpy()
    places = np.searchsorted(stored, hashes)
    is_known = np.zeros(len(hashes), bool)
    inside = places < len(stored)
    is_known[inside] = stored[places[inside]] == hashes[inside]
    changed = _with_changes(known, places[is_known], entering.filter(is_known))
    new = entering.filter(~is_known).with_columns(pl.col("first_exposed_at_ms").alias("entered_at_ms"))
    return changed if new.is_empty() else changed.merge_sorted(new.select(known.columns), key=IDENTITY)


def _with_changes(known: pl.DataFrame, at: Integers, again: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with those at some places brought up to date; a column without changes is not copied."""
    before, together = known[at], _together(known[at], again)
    changes = {name: np.flatnonzero(before[name].ne_missing(together[name]).to_numpy()) for name in together.columns}
    if not any(map(len, changes.values())):
        return known
    return known.with_columns(
        known[name].scatter(at[rows], together[name].gather(rows)) for name, rows in changes.items() if len(rows)
    )


def _together(known: pl.DataFrame, again: pl.DataFrame) -> pl.DataFrame:
    """Return what follows for the same identities, row by row."""
    both = known.hstack(again.rename(lambda name: f"{name}_new"))
    at, at_new, variant, variant_new = (
        pl.col(name) for name in ("first_exposed_at_ms", "first_exposed_at_ms_new", "variant", "variant_new")
    )
    known_is_first = (at < at_new) | ((at == at_new) & (variant <= variant_new))
    first_at = pl.when(known_is_first).then(at).otherwise(at_new)
    return both.select(
        first_at.alias("first_exposed_at_ms"),
        pl.when(known_is_first).then(variant).otherwise(variant_new).alias("variant"),
        pl.col("quarantined") | pl.col("quarantined_new") | (variant != variant_new),
        first_at.alias("entered_at_ms"),
    )
