"""Answers as columns, and reading ahead."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from experiment_pipeline.warehouse.duckdb.arrow_columns import AHEAD, ahead, batches, columns, pieces


def test_columns__of_an_answer__are_its_rows_at_once_or_in_pieces() -> None:
    with duckdb.connect() as connection:
        many = connection.sql("select range as number, range / 2 as half from range(300_000)")
        number, half = columns(batches(many), 3)
        assert number.tolist() == list(range(300_000))
        assert half[3] == 1.5
        split = [piece for piece, _ in pieces(batches(many), at_least=100_000)]
        assert len(split) > 1
        assert [row for piece in split for row in piece.tolist()] == number.tolist()
        nothing = connection.sql("select 1 as one, 2 as two, 3 as three limit 0")
        assert [len(column) for column in columns(batches(nothing), 3)] == [0, 0, 0]
        assert list(pieces(batches(nothing))) == []


def test_batches__of_a_file_that_goes_midway__raise_duckdbs_own_error(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        files = [str(tmp_path / f"{number}.parquet") for number in range(2)]
        for file in files:
            connection.execute(
                "copy (select range as number from range(200_000)) to $file (format parquet)", {"file": file}
            )
        rows = connection.sql("select number from read_parquet($files)", params={"files": files})
        Path(files[1]).unlink()
        with pytest.raises(duckdb.IOException, match=r"IO Error: .*1\.parquet"):
            list(batches(rows))


def test_batches__of_a_value_that_cannot_be_computed__raise_an_error_that_is_not_of_input_and_output() -> None:
    with duckdb.connect() as connection:
        rows = connection.sql("select if(range < 150_000, '1', 'x')::integer as number from range(200_000)")
        with pytest.raises(duckdb.Error, match="Conversion Error") as raised:
            list(batches(rows))
        assert not isinstance(raised.value, duckdb.IOException)


def test_ahead__keeps_the_order__and_reads_a_few_at_most() -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    with closing(ahead(numbers())) as taken:
        assert [next(taken) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert 5 <= len(read) <= 5 + AHEAD
    assert list(ahead(iter(range(100)))) == list(range(100))


def test_ahead__whose_reading_fails__gives_what_was_read_and_raises() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise OSError("torn")

    taken = ahead(failing())
    assert next(taken) == 1
    with pytest.raises(OSError, match="torn"):
        next(taken)
