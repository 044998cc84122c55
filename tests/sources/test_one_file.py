"""An imported file is what it was when it was opened, or nothing of it lands (rules D1, D2)."""

from contextlib import closing
from pathlib import Path

import pytest

from experiment_pipeline.domain.row_mapping import FieldSource, RowMapping
from experiment_pipeline.errors import Conflict
from experiment_pipeline.landing.listing import Listing
from experiment_pipeline.sources.one_file import FileImport

WHO, WHEN = FieldSource(column="user"), FieldSource(column="at")
ROWS = "user,at\na,2026-01-05T00:00:00Z\n"


def test_land__file_that_changed_since_it_was_opened__lands_nothing(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    request = FileImport(tmp_path / "rows.csv", RowMapping(WHO, WHEN, event=FieldSource(constant="seen")), "prod")

    def change(_: int) -> None:
        (tmp_path / "rows.csv").write_text(ROWS + "b,2026-01-05T00:00:00Z\n")

    with closing(request.open()) as rows, pytest.raises(Conflict, match="has changed while it was read: nothing of it"):
        request.land(rows, tmp_path / "landing", change)
    assert list(Listing(tmp_path / "landing").names()) == []
    with closing(request.open()) as rows:
        landed = request.land(rows, tmp_path / "landing", lambda _: None)
    assert landed is not None
    assert landed.records == 2
