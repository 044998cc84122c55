"""A file that changes while it is read is noticed (rules D1, D2)."""

import os
from pathlib import Path

import pytest

from experiment_pipeline.errors import Conflict
from experiment_pipeline.sources.file_states import are_unchanged, require_unchanged, state_of


@pytest.mark.parametrize("change", ["content", "time", "removal"])
def test_require_unchanged__file_that_is_another_one__is_named(tmp_path: Path, change: str) -> None:
    (tmp_path / "kept.csv").write_text("a")
    (tmp_path / "rows.csv").write_text("a")
    files = [state_of(tmp_path / "kept.csv"), state_of(tmp_path / "rows.csv")]
    require_unchanged(files, "Read it again.")
    assert are_unchanged(files)
    if change == "content":
        (tmp_path / "rows.csv").write_text("ab")
    elif change == "time":
        os.utime(tmp_path / "rows.csv", (1, 1))
    else:
        (tmp_path / "rows.csv").unlink()
    assert not are_unchanged(files)
    with pytest.raises(Conflict, match=r"rows\.csv has changed while it was read: nothing of it has landed\. Read it"):
        require_unchanged(files, "Read it again.")
