"""What a data version sees, by way of a real lake: removed rows (E6), and events of linked identities (D6)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.event_files import EventFiles
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.visible_events import file_parameters, over_visible
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.lake.ledger import PROD, LakeInOneFolder, exposure, land, record
from tests.lake.source_objects import land_range
from tests.warehouse.contract import metric

STARTED_AT = datetime(2026, 2, 1, tzinfo=UTC)
FEBRUARY = 1_772_000_000_000
SPENT = metric(1, Aggregation.SUM)


@pytest.fixture
def here(tmp_path: Path) -> LakeInOneFolder:
    return LakeInOneFolder(tmp_path)


def take_in(here: LakeInOneFolder, *records: dict[str, Any]) -> None:
    """Ingest records as a batch."""
    land(here.root, records, f"{len(here.ledger.batches)}.jsonl")
    here.ingest()


def link(anonymous: str, known: str) -> dict[str, Any]:
    return record(event="$identity_link", identifier=anonymous, value=known)


def engine(here: LakeInOneFolder) -> DuckDBWarehouse:
    return DuckDBWarehouse(here.lake.connect, here.lake.event_files, ArtifactStore(here.root / "artifacts"))


def scope(data_version: int) -> AnalysisScope:
    window = Window(STARTED_AT, STARTED_AT + timedelta(days=27))
    return AnalysisScope("checkout-1", PROD, "checkout", window, data_version)


def spent(here: LakeInOneFolder, data_version: int) -> dict[str, tuple[int, float]]:
    """The identities of each variant, and what they spent together."""
    analysis = engine(here)
    analysis.write_first_exposures(scope(data_version))
    rows = analysis.variant_aggregates(scope(data_version), (SPENT,)).rows.to_dicts()
    return {row["variant"]: (row["n"], row["n"] * row["mean"]) for row in rows}


def test_linked_identities__are_one_from_the_batch_of_the_link_on__d6(here: LakeInOneFolder) -> None:
    seen = [exposure(identifier="anonymous"), record(identifier="known", value="5", timestamp=FEBRUARY + 1)]
    take_in(here, *seen, record(identifier="anonymous", value="2", timestamp=FEBRUARY + 1))
    assert spent(here, 1) == {"control": (1, 2)}
    take_in(here, link("anonymous", "known"))
    take_in(here, record(identifier="anonymous", value="1", timestamp=FEBRUARY + 2))
    assert [spent(here, version) for version in (1, 2, 3)] == [{"control": (1, each)} for each in (2, 7, 8)]


def test_linked_identities__that_saw_two_variants__are_excluded__x3_d6(here: LakeInOneFolder) -> None:
    take_in(here, exposure(identifier="anonymous"), exposure(identifier="known", value="b"), exposure(identifier="c"))
    take_in(here, link("anonymous", "known"))
    assert [spent(here, version) for version in (1, 2)] == [{"b": (1, 0), "control": (2, 0)}, {"control": (1, 0)}]


def test_identity_with_two_known_ones__stays_itself_and_is_counted__d6(here: LakeInOneFolder) -> None:
    take_in(here, exposure(identifier="shared"), exposure(identifier="known", value="b"))
    take_in(here, link("shared", "known"), link("shared", "shared"))
    take_in(here, link("shared", "other"))
    assert [spent(here, version) for version in (1, 2, 3)] == [
        {"b": (1, 0), "control": (1, 0)},
        {},
        {"b": (1, 0), "control": (1, 0)},
    ]
    assert [engine(here).ambiguous_links(scope(version)) for version in (0, 1, 2, 3)] == [0, 0, 0, 1]


def test_links__have_no_chains__d6(here: LakeInOneFolder) -> None:
    take_in(here, exposure(identifier="a"), exposure(identifier="b"), link("a", "b"), link("b", "c"))
    take_in(here, record(identifier="c", value="3", timestamp=FEBRUARY + 1))
    take_in(here, record(identifier="b", value="4", timestamp=FEBRUARY + 1))
    assert spent(here, 3) == {"control": (2, 7)}  # the exposure of a is of b, that of b and its purchase are of c


def test_link__that_is_removed__leaves_events_as_they_were_sent__d5_d6(here: LakeInOneFolder) -> None:
    take_in(here, exposure(identifier="anonymous"), exposure(identifier="known"), exposure(identifier="other"))
    land_range(here.root, "v1-1", [link("anonymous", "known"), link("other", "x")], source="identities")
    here.ingest()
    land_range(here.root, "again-v2-2", [link("other", "known"), link("anonymous", "y")], source="identities")
    here.ingest()
    land_range(here.root, "again-v3-3", [link("other", "known")], source="identities")
    here.ingest()
    assert [spent(here, version)["control"][0] for version in (1, 2, 3, 4)] == [3, 2, 2, 2]
    assert engine(here).ambiguous_links(scope(3)) == 0


def test_links__of_another_environment__say_nothing__d6(here: LakeInOneFolder) -> None:
    here.ledger.known_environments = {PROD, "other"}
    take_in(here, exposure(identifier="anonymous"), exposure(identifier="known"))
    land(here.root, [link("anonymous", "known")], environment="other")
    here.ingest()
    assert spent(here, 2) == {"control": (2, 0)}


@pytest.mark.parametrize("stage", ["first_exposures", "measured_events", "late_events"])
def test_statements__where_nothing_was_removed_or_linked__are_as_they_stand(stage: str) -> None:
    sql, parameters = over_visible(statement(stage), file_parameters(EventFiles(["a.parquet"])))
    assert (sql, parameters) == (statement(stage), {"event_files": ["a.parquet"]})


def test_statements__where_rows_were_removed_and_identities_linked__read_both() -> None:
    files = EventFiles(["a"], ["b"], ["c"], ["d"])
    sql, parameters = over_visible(statement("first_exposures"), file_parameters(files))
    assert all(f"${name}" in sql for name in parameters)
    assert over_visible("", file_parameters(EventFiles(["a"], [], [], ["d"])))[1] == {"event_files": ["a"]}
