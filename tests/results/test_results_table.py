"""The results table: one row per metric, treatment and look, with every column that is documented."""

import csv
import io

import pytest

from experiment_pipeline.cli.results_csv import COLUMNS as CSV_COLUMNS
from experiment_pipeline.cli.results_csv import write_csv
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.results.results_table import COLUMNS, LOOK_KEY, ROW_KEY, ColumnType, result_rows
from tests.cli.test_results import state
from tests.cli.test_results_table import METRIC, TREATMENT, subject, winning

PYTHON = {ColumnType.TEXT: str, ColumnType.NUMBER: float, ColumnType.WHOLE: int, ColumnType.TRUTH: bool}


def test_results_table__row__has_every_column_in_its_type() -> None:
    experiment = subject()
    (row,) = result_rows(experiment, state(Computation.RESULTS, winning(experiment)))
    assert list(row) == [column.name for column in COLUMNS]
    assert (row["metric"], row["treatment"], row["verdict"], row["control_n"]) == (METRIC, TREATMENT, "winning", 9000)
    assert (row["treatment_value"], row["lift"] is not None) == (pytest.approx(0.3), True)
    for column in COLUMNS:
        value = row[column.name]
        if value is not None and column.type in PYTHON:
            assert isinstance(value, PYTHON[column.type]), column.name


def test_results_table__row__agrees_with_the_csv_wherever_both_have_a_column() -> None:
    experiment, file = subject(), io.StringIO()
    results = state(Computation.RESULTS, winning(experiment))
    (row,) = result_rows(experiment, results)
    write_csv(experiment, results, file)
    _, treatment = csv.DictReader(io.StringIO(file.getvalue()))
    both = {column.name for column in COLUMNS} & set(CSV_COLUMNS) - {"started_at", "as_of"}
    assert {"effect", "lift_low", "p_all_looks", "loss_if_keep", "verdict"} <= both
    assert {name: "" if row[name] is None else str(row[name]) for name in both} == {
        name: treatment[name] for name in both
    }


def test_results_table__columns__are_named_once_and_described() -> None:
    names = [column.name for column in COLUMNS]
    assert len(names) == len(set(names))
    assert set(LOOK_KEY) < set(ROW_KEY) < set(names)
    assert [column.name for column in COLUMNS if not column.description.endswith(".")] == []


def test_results_table__before_results__has_no_rows() -> None:
    assert result_rows(subject(), state(Computation.RESULTS, None)) == []
