"""Values that are no numbers, in records of every type, as rule E5 reads them."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.events import LINK_EVENT, numeric_value
from experiment_pipeline.domain.row_mapping import FieldSource, RowMapping
from experiment_pipeline.sources.not_numbers import NotNumbers, not_numbers

EXPOSURE = RowMapping(FieldSource(column="user"), FieldSource(column="at"), feature=FieldSource(constant="f"),
                      variant=FieldSource(column="group"))  # fmt: skip
PAID = RowMapping(FieldSource(column="user"), FieldSource(column="at"), event=FieldSource(constant="paid"),
                  value=FieldSource(column="amount"))  # fmt: skip
TEXTS = st.text("0123456789.eE+- \n,_infaNx", max_size=8) | st.sampled_from(["1e999", "-1e999", "1e308", "٣", "1\n"])


@given(st.lists(TEXTS | st.none(), max_size=20))
def test_not_numbers__texts__are_those_that_rule_e5_cannot_read(texts: list[str | None]) -> None:
    values = [text for text in texts if text is not None]
    wrong = [text for text in values if numeric_value(text) is None]
    found = not_numbers(pl.DataFrame({"value": texts}, schema={"value": pl.String}), PAID)
    assert found == NotNumbers(len(values), len(wrong), wrong[0] if wrong else None)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([True, None, False], NotNumbers(2, 2, "true")),
        ([1, 2, None], NotNumbers(2)),
        ([1.5, float("nan"), float("inf")], NotNumbers(3, 2, "nan")),
    ],
)
def test_not_numbers__other_types__of_values(values: list[object], found: NotNumbers) -> None:
    assert not_numbers(pl.DataFrame({"value": values}), PAID) == found


def test_not_numbers__identity_links__have_identifiers_for_values__d6() -> None:
    records = pl.DataFrame({"event": [LINK_EVENT, "paid", None], "value": ["anna", "9,50", "x"]})
    assert not_numbers(records, PAID) == NotNumbers(1, 1, "9,50")


def test_not_numbers__exposures__have_variants_for_values() -> None:
    assert not_numbers(pl.DataFrame({"value": ["control", "b"]}), EXPOSURE) == NotNumbers()


def test_not_numbers__of_several_batches__keep_the_first_example() -> None:
    assert NotNumbers(3) + NotNumbers(2, 1, "a") + NotNumbers(2, 2, "b") == NotNumbers(7, 3, "a")
