"""Aggregates that contradict the first exposures are not published; the last good payload stays (rules X5, R3)."""

import polars as pl

from tests.assets.conftest import Installation, crowd


def test_refresh__whose_aggregates_lack_an_identity__publishes_nothing_and_keeps_the_results__x5_r3(
    installation: Installation,
) -> None:
    installation.land("first", crowd(60, 60))
    installation.ingest()
    assert installation.refresh().success
    good = installation.state()
    stored = installation.settings.artifacts_dir / "variant_aggregates" / f"{installation.partition()}.parquet"
    metadata = pl.read_parquet_metadata(stored)
    rows = pl.read_parquet(stored)
    stamp = {name: value for name, value in metadata.items() if not name.startswith("ARROW")}
    rows.with_columns(pl.col("identities") - 1).write_parquet(stored, metadata=stamp)
    refused = installation.materialise("srm", "bayesian_results", "experiment_results")
    assert not refused.success
    state = installation.state()
    assert (state.payload, state.as_of) == (good.payload, good.as_of)
    assert state.last_error_at is not None
    rows.write_parquet(stored, metadata=stamp)
    assert installation.materialise("srm", "bayesian_results", "experiment_results").success
    assert installation.state().last_error_at is None
