"""One table of looks: documented in its own schema, and committed to once a batch."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from experiment_pipeline.errors import Conflict
from experiment_pipeline.results.published_tables import PUBLISHED_TABLES, RESULTS
from experiment_pipeline.tables.delta_table import LookTable
from tests.tables.looks import Looks


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Looks]:
    made = Looks.make(tmp_path)
    yield made
    made.registry.close()


def test_write__columns__are_documented_in_the_tables_themselves(here: Looks) -> None:
    here.publish(1)
    here.write()
    for table in PUBLISHED_TABLES:
        stored = DeltaTable(here.folder / "tables" / table.name)
        comments = {field.name: field.metadata["comment"] for field in stored.schema().fields}
        assert comments == {column.name: column.description for column in table.columns}
        assert stored.metadata().description == table.description


def test_commit__of_a_batch_that_the_table_holds_not__fails_where_another_batch_came_first(here: Looks) -> None:
    here.publish(1)
    here.write()
    first, second = (LookTable.open(here.folder / "tables", RESULTS) for _ in range(2))
    assert first is not None
    assert second is not None
    first.commit(2, [], replace=False, now_ms=0)
    with pytest.raises(Conflict, match="results: another process committed first"):
        second.commit(2, [], replace=False, now_ms=0)
