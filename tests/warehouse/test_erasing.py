"""Erasing an identity from artifacts (rules E6, I1)."""

from pathlib import Path

import polars as pl

from experiment_pipeline.storage.files import local_folder
from experiment_pipeline.warehouse.artifacts import STAMP_KEY, ArtifactStore
from experiment_pipeline.warehouse.erasing import first_exposures, holds_identity, totals

STAMP = (
    '{"partition_key": "a-1", "started_at": "2026-03-01T00:00:00Z", "as_of": "2026-03-02T00:00:00Z", '
    '"data_version": 1, "code_version": "c", "sql": "select"}'
)
ROWS = pl.DataFrame({"identity_hash": [1, 2], "variant": ["b", "control"], "quarantined": [False, True]})


def test_first_exposures__of_every_phase__lose_the_row_and_keep_their_stamp(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    for phase in (1, 2):
        path = local_folder(store.path("first_exposures", "a-1", phase))
        path.parent.mkdir(exist_ok=True)
        ROWS.write_parquet(path, metadata={STAMP_KEY: STAMP})
    (tmp_path / "first_exposures" / "not an artifact.parquet").write_bytes(b"")
    found = sorted(first_exposures(store), key=lambda each: each.phase)
    assert [(each.partition_key, each.phase) for each in found] == [("a-1", 1), ("a-1", 2)]
    assert found[1].row(2) == {"identity_hash": 2, "variant": "control", "quarantined": True}
    found[1].erase(2)
    assert found[1].row(2) is None
    assert found[0].row(2) is not None
    assert pl.read_parquet(local_folder(found[1].path)).equals(ROWS[:1])
    assert '"data_version": 1' in pl.read_parquet_metadata(local_folder(found[1].path))[STAMP_KEY]


def test_totals__also_of_a_generation_that_nobody_names__hold_what_their_files_hold(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    folder = tmp_path / "totals" / "a-1.2"
    folder.mkdir(parents=True)
    ROWS.write_parquet(folder / "x.parquet")
    (found,) = totals(store)
    assert (found.partition_key, found.phase) == ("a-1", 2)
    assert [holds_identity(found, each) for each in (1, 3)] == [True, False]
    found.drop()
    assert list(totals(store)) == []
