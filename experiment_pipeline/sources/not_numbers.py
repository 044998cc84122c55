"""Values of records that are no numbers (rule E5): they land, and sums, means and quantiles leave them out."""

from dataclasses import dataclass

import polars as pl

from experiment_pipeline.domain.events import LINK_EVENT, NUMERIC_VALUE
from experiment_pipeline.domain.row_mapping import RowMapping

GREEDY = NUMERIC_VALUE.pattern.replace("++", "+").replace("*+", "*")  # Polars knows no possessive quantifiers


@dataclass(frozen=True, slots=True)
class NotNumbers:
    """The values of metric events, how many of them are no numbers, and the first of those."""

    values: int = 0
    count: int = 0
    example: str | None = None

    def __add__(self, other: "NotNumbers") -> "NotNumbers":
        example = other.example if self.example is None else self.example
        return NotNumbers(self.values + other.values, self.count + other.count, example)


def not_numbers(records: pl.DataFrame, mapping: RowMapping) -> NotNumbers:
    """Return what of the values of records is no number.

    Args:
        records: as they land, of one mapping.
        mapping: of them; exposures, events without a `value` and identity links (rule D6) have none.

    Example:
        >>> from experiment_pipeline.domain.row_mapping import FieldSource
        >>> at, who = FieldSource(column="at"), FieldSource(column="user")
        >>> paid = RowMapping(who, at, event=FieldSource(constant="paid"), value=FieldSource(column="amount"))
        >>> not_numbers(pl.DataFrame({"value": ["9.50", "9,50", None]}), paid)
        NotNumbers(values=2, count=1, example='9,50')
    """
    if mapping.value is None:
        return NotNumbers()
    if "event" in records.columns:
        records = records.filter(pl.col("event") != LINK_EVENT)
    values = records.get_column("value").drop_nulls()
    if values.dtype == pl.Boolean:
        wrong = values.cast(pl.String)
    elif values.dtype == pl.String:
        is_number = values.str.contains(f"^(?:{GREEDY})$")
        wrong = values.filter(~(is_number & values.cast(pl.Float64, strict=False).is_finite().fill_null(value=False)))
    else:
        wrong = values.filter(~values.is_finite())
    example = str(wrong[0]) if len(wrong) else None
    return NotNumbers(len(values), len(wrong), example)
