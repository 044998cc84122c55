"""The SQL of every dialect, committed in tests/warehouse/ibis/compiled/; some are compiled alone, and not run (N6, N9).

After a wanted change: `.venv-engines/bin/python -m tests.warehouse.ibis.test_compiled` writes the files anew.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from experiment_pipeline.domain.measures import Aggregation, Bound, Condition, Events, Measure, MeasureWindow, Operator
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Metric, Quantile, Ratio
from experiment_pipeline.warehouse.ibis import first_exposures
from experiment_pipeline.warehouse.ibis.dialects import DIALECTS, NOT_RUN
from experiment_pipeline.warehouse.ibis.engine import Dialect
from experiment_pipeline.warehouse.ibis.events import SCHEMA
from experiment_pipeline.warehouse.ibis.in_place import aggregate_statements
from experiment_pipeline.warehouse.ibis.statements import ENGINES, statement
from tests.warehouse.contract import PURCHASE, metric, scope

FOLDER = Path(__file__).parent / "compiled"
SCOPE = replace(scope(data_version=1_772_000_000_000_000), variants=("control", "red"))
CAPPED = Measure(Events(PURCHASE, window=MeasureWindow(end=timedelta(days=1))), Aggregation.SUM, cap=Bound(at=100))
PRICE, VISITS = Measure(Events(PURCHASE), Aggregation.MEAN), Measure(Events("session"), Aggregation.COUNT)
METRICS = (
    Metric(1, "prod", "spent", Mean(CAPPED), maturity=Maturity.COMPLETE),
    Metric(2, "prod", "price", Ratio(PRICE, VISITS)),
    metric(3, Aggregation.DISTINCT),
)

BOUGHT = Events(PURCHASE)
LARGE = Events(PURCHASE, (Condition("value", Operator.AT_LEAST, 3),))
DAY = timedelta(days=1)
EVERY_STATISTIC = (
    Metric(1, "prod", "usual", Quantile(0.9, Measure(BOUGHT, Aggregation.SUM))),
    Metric(2, "prod", "of events", Quantile(0.9, BOUGHT)),
    Metric(3, "prod", "checkout", Funnel((Events("cart"), Events("address"), BOUGHT), DAY)),
    Metric(4, "prod", "adjusted", Mean(Measure(BOUGHT, Aggregation.SUM, cap=Bound(percentile=99.5)), 14 * DAY)),
    Metric(5, "prod", "last", Mean(Measure(LARGE, Aggregation.LAST))),
)


def compiled(dialect: Dialect) -> Iterator[tuple[str, str]]:
    """Yield the name of a file and its text."""
    statements = {"buckets": dialect.statement(first_exposures.counted_buckets(SCOPE))}
    for name, sql in (statements | aggregate_statements(dialect, SCOPE, METRICS)).items():
        yield f"{dialect.name}_{name}.sql", f"{sql};\n"


@pytest.mark.parametrize("name", DIALECTS)
def test_statements__of_a_dialect__are_the_committed_files__n6(name: str) -> None:
    for file, sql in compiled(DIALECTS[name]):
        assert sql == (FOLDER / file).read_text("utf-8"), "python -m tests.warehouse.ibis.test_compiled"


@pytest.mark.parametrize("name", DIALECTS)
def test_statements__of_every_statistic__are_compiled_without_a_connection__n6(name: str) -> None:
    statements = aggregate_statements(DIALECTS[name], SCOPE, EVERY_STATISTIC)
    assert list(statements) == ["identities", "moments", "funnel 3", "events 2", "order statistics of events 2"]
    parsed = [sqlglot.parse_one(sql, dialect=DIALECTS[name].sql) for sql in statements.values()]
    assert all(each.find(exp.Window) for each in parsed)


def test_committed_files__are_of_a_dialect_each() -> None:
    wanted = {file for dialect in DIALECTS.values() for file, _ in compiled(dialect)}
    assert {path.name for path in FOLDER.iterdir()} == wanted


def test_engines__of_the_command__are_the_dialects() -> None:
    assert sorted(ENGINES) == sorted(DIALECTS)


@pytest.mark.parametrize("name", DIALECTS)
def test_value__is_cast_where_a_cast_cannot_fail_alone__e5_n9(name: str) -> None:
    """PostgreSQL's cast is guarded by `pg_input_is_valid`; the others have one that gives null where it cannot be."""
    for _, sql in compiled(DIALECTS[name]):
        for cast in sqlglot.parse_one(sql, dialect=DIALECTS[name].sql).find_all(exp.Cast):
            is_number = cast.to.this in exp.DataType.NUMERIC_TYPES
            if is_number and "value" in {column.name for column in cast.this.find_all(exp.Column)}:
                guards = cast.find_ancestor(exp.Case)
                assert isinstance(cast, exp.TryCast) or (guards and "PG_INPUT_IS_VALID" in guards.sql().upper()), cast


@pytest.mark.parametrize("name", DIALECTS)
def test_statements__have_inner_joins_and_no_approximate_function__n9(name: str) -> None:
    approximate = re.compile(r"\b(uniq|uniqIf|quantile|approx\w*|hll\w*)\(", re.IGNORECASE)
    for file, sql in compiled(DIALECTS[name]):
        assert not approximate.search(sql), file
        assert not re.search(r"\b(LEFT|RIGHT|FULL) JOIN\b", sql), file
        assert len(re.findall(r"\bINNER JOIN\b", sql)) == file.endswith("moments.sql"), file
        assert len(re.findall(r"\bFROM [`\"]?events\b", sql, re.IGNORECASE)) == 1 + file.endswith("moments.sql"), file


@pytest.mark.parametrize("name", DIALECTS)
def test_texts__are_compared_by_bytes_and_quoted_by_the_compiler__n9(name: str) -> None:
    hard = "o'b\\n\"; drop table events --"
    sql = DIALECTS[name].statement(first_exposures.counted_identities(replace(SCOPE, feature=hard)))
    literals = [each.this for each in sqlglot.parse_one(sql, dialect=DIALECTS[name].sql).find_all(exp.Literal)]
    assert hard in literals
    assert ('COLLATE "C"' in sql) == (name == "postgres")  # every other engine compares so by itself


@pytest.mark.parametrize("name", [each.name for each in NOT_RUN])
def test_rows__of_an_engine_that_is_not_run__are_what_the_expressions_read__n6(name: str) -> None:
    rows = sqlglot.parse_one(statement(name, "events"), dialect=DIALECTS[name].sql)
    assert [each.alias_or_name for each in rows.selects] == list(SCHEMA)
    created = sqlglot.parse_one(statement(name, "table"), dialect=DIALECTS[name].sql)
    assert isinstance(created, exp.Create)
    columns = {each.name.lower() for each in created.find_all(exp.ColumnDef)}
    assert {each.name for each in rows.find_all(exp.Column)} - columns == set()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    for each in DIALECTS.values():
        for file_name, text in compiled(each):
            (FOLDER / file_name).write_text(text, "utf-8")
