"""Files are replaced whole or not at all."""

from pathlib import Path

import pytest

from experiment_pipeline.durable_files import make_folder, replacing, sql_text


def test_replacing__block_that_succeeds__replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "below" / "file"
    for content in ("first", "second"):
        with replacing(target) as temporary:
            temporary.write_text(content, "utf-8")
            assert target.exists() is (content == "second"), "visible only when the block ends"
        assert target.read_text("utf-8") == content
    assert list(target.parent.iterdir()) == [target]


def test_replacing__block_that_fails__leaves_the_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old", "utf-8")

    def write_half() -> None:
        with replacing(target) as temporary:
            temporary.write_text("ne", "utf-8")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        write_half()
    assert [(path, path.read_text("utf-8")) for path in tmp_path.iterdir()] == [(target, "old")]


def test_make_folder__with_parents_and_again__is_there(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_sql_text__of_a_package__is_its_file() -> None:
    assert "select" in sql_text("experiment_pipeline.warehouse.duckdb", "first_exposures").lower()
    with pytest.raises(FileNotFoundError):
        sql_text("experiment_pipeline.warehouse.duckdb", "nothing")
