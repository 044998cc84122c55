"""Types of columns in words, whatever they were read from: `text`, `whole numbers`, `times without a zone`."""

import polars as pl

WORDS = {
    pl.String: "text",
    pl.Boolean: "true/false",
    pl.Date: "dates",
    pl.Time: "times of a day",
    pl.Duration: "durations",
    pl.Binary: "bytes",
    pl.List: "lists",
    pl.Array: "lists",
    pl.Struct: "objects",
    pl.Null: "nothing",
}


def in_words(dtype: pl.DataType) -> str:
    """Return what a column of a type holds.

    Example:
        >>> [in_words(dtype) for dtype in (pl.Int64(), pl.Decimal(18, 2), pl.Datetime("us", "UTC"))]
        ['whole numbers', 'numbers', 'times with a zone']
    """
    if isinstance(dtype, pl.Datetime):
        return f"times with{'out' if dtype.time_zone is None else ''} a zone"
    if dtype.is_integer():
        return "whole numbers"
    return "numbers" if dtype.is_numeric() else WORDS.get(dtype.base_type(), str(dtype))
