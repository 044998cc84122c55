"""The check of rows that a warehouse loads below a data version: what it compares, and what it shows (rule N4)."""

from dataclasses import replace

import pytest

from experiment_pipeline.health.finding import Severity
from experiment_pipeline.health.inputs import HealthInputs, WarehouseRows
from experiment_pipeline.health.loaded_in_order import CHECK
from tests.health.test_split import inputs

ROWS = WarehouseRows("clickhouse", 120, {}, {"rows": 120}, cost={"statements": 6})


def of(rows: WarehouseRows | None) -> HealthInputs:
    return replace(inputs({}), warehouse=rows)


@pytest.mark.parametrize(
    ("rows", "code", "severity"),
    [
        (None, "events_in_lake", Severity.OK),
        (ROWS, "loading_not_compared", Severity.OK),
        (replace(ROWS, counted_before=100, counted_again=100), "loaded_in_order", Severity.OK),
        (replace(ROWS, counted_before=100, counted_again=101), "rows_below_data_version", Severity.WARNING),
        (replace(ROWS, counted_before=100, counted_again=99), "rows_below_data_version", Severity.WARNING),
    ],
)
def test_finding__of_rows_counted_again__warns_where_others_are_there__n4(
    rows: WarehouseRows | None, code: str, severity: Severity
) -> None:
    found = CHECK.judge(of(rows))
    assert (found.code, found.severity) == (code, severity)


def test_finding__of_a_warehouse__has_rows_cost_and_what_was_left_out_by_reason__n5() -> None:
    found = CHECK.judge(of(replace(ROWS, rejected={"too_long": 3})))
    assert found.evidence == {
        "engine": "clickhouse",
        "rows": 120,
        "rejected": {"too_long": 3},
        "cost": {"statements": 6},
    }
    assert "too_long 3" in found.detail
