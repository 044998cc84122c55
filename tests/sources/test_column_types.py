"""Types of columns, as people read them."""

import polars as pl
import pytest

from experiment_pipeline.sources.column_types import in_words


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (pl.String(), "text"),
        (pl.UInt8(), "whole numbers"),
        (pl.Float32(), "numbers"),
        (pl.Decimal(38, 2), "numbers"),
        (pl.Datetime("ns", "Europe/Berlin"), "times with a zone"),
        (pl.Datetime("ms"), "times without a zone"),
        (pl.List(pl.String()), "lists"),
        (pl.Struct({"a": pl.Int8()}), "objects"),
        (pl.Categorical(), "Categorical"),
    ],
)
def test_in_words__type__is_what_a_column_holds(dtype: pl.DataType, words: str) -> None:
    assert in_words(dtype) == words
