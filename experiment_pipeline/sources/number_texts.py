"""Texts of numbers: one for each number, whatever type its column was read with (rules D1, E4).

A column of a file, of JSON or of SQLite has another type once a 9.5 stands below a 10, and the text of a value tells
events apart. So 10, 10.0 and 10.00 are all `10`, 9.50 is `9.5` and 1e3 is `1000`: no digit that counts is lost.
"""

from decimal import Decimal

import polars as pl

EXPONENT = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?[eE][+-]?[0-9]{1,3}$"  # as JSON writes numbers; 007 is none
ZEROS_ALONE = r"^(-?(?:0|[1-9][0-9]*))\.0+$"
ZEROS_BEHIND = r"^(-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9])0+$"
NEGATIVE_ZERO = "-0"
NO_NUMBERS = {"inf": "Infinity", "-inf": "-Infinity"}  # of doubles, as JSON's senders write them


def number_texts(values: pl.Series) -> pl.Series:
    """Return values as text: the numbers among them without zeros that say nothing, and without an exponent.

    Args:
        values: numbers, or texts of which some may be numbers; other texts stay as they are written.

    Example:
        >>> number_texts(pl.Series([10.0, 9.5, 1e16])).to_list()
        ['10', '9.5', '10000000000000000']
        >>> number_texts(pl.Series(["10.00", "9,50", "007", None])).to_list()
        ['10', '9,50', '007', None]
    """
    texts = values.cast(pl.String)
    if values.dtype.is_integer():
        return texts
    if values.dtype.is_float():
        texts = texts.replace(NO_NUMBERS)
    exponents = texts.str.contains(EXPONENT).fill_null(value=False).arg_true()
    if len(exponents):
        texts = texts.scatter(exponents, [_without_exponent(text) for text in texts.gather(exponents)])
    whole = texts.str.replace(ZEROS_ALONE, "$1").str.replace(ZEROS_BEHIND, "$1")
    return whole.replace(NEGATIVE_ZERO, "0")


def _without_exponent(text: str) -> str:
    return format(Decimal(text), "f")
