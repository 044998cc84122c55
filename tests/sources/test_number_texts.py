"""A number has one text, whatever type its column was read with (rules D1, E4)."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.events import numeric_value
from experiment_pipeline.sources.number_texts import number_texts


def text(*values: object) -> str:
    return str(number_texts(pl.Series(values)).item())


@pytest.mark.parametrize(
    "other", ["007", "+5", ".5", "5.", "1,50", "1.0.0", "v1.0", "", " 1.0", "1e9999", "NaN", "0x10", "1_0", "\u0661.0"]
)
def test_number_texts__text_that_json_would_not_write_as_a_number__stays(other: str) -> None:
    assert text(other) == other


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-0.0, "0"),
        (1e16, "10000000000000000"),
        (1e-7, "0.0000001"),
        (0.1 + 0.2, "0.30000000000000004"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (float("nan"), "NaN"),
        (2**64 - 1, "18446744073709551615"),
        (Decimal("0.10"), "0.1"),
        ("-0.00", "0"),
        ("100", "100"),
        ("1.50e-3", "0.0015"),
        ("12345678901234567890.10", "12345678901234567890.1"),
    ],
)
def test_number_texts__number__has_its_digits_and_no_more(value: object, expected: str) -> None:
    assert text(value) == expected


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_number_texts__double__is_the_same_as_text_and_reads_back(number: float) -> None:
    assert text(number) == text(repr(number))
    assert numeric_value(text(number)) == number


@given(number=st.integers(-(2**53), 2**53))
def test_number_texts__whole_number__is_the_same_as_integer_double_and_decimal(number: int) -> None:
    assert text(number) == text(float(number)) == text(Decimal(number).quantize(Decimal("0.01"))) == str(number)
