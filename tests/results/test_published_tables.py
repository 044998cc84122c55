"""The tables of all looks: names, columns and keys; rows of payloads from before some of their members were there."""

from experiment_pipeline.domain.looks import Look
from experiment_pipeline.results import results_table
from experiment_pipeline.results.published_tables import (
    EXPOSURES_TIMESERIES,
    LOOKS,
    PUBLISHED_TABLES,
    exposures_rows,
    finding_rows,
    looks_row,
)
from tests.cli.test_results import AT
from tests.cli.test_results_table import subject, winning

SHARED = ("experiment", "environment", "phase", "look", "as_of", "data_version")


def look() -> Look:
    return Look(1, AT, 3, AT, "0123456789ab", winning(subject()))


def test_tables__columns__are_named_once_described_and_have_the_key() -> None:
    for table in PUBLISHED_TABLES:
        names = [column.name for column in table.columns]
        assert len(names) == len(set(names))
        assert set(SHARED) | set(table.key) <= set(names)
        assert [column.name for column in table.columns if not column.description.endswith(".")] == []


def test_tables__columns_of_the_same_name__are_the_same() -> None:
    known = {column.name: column for column in results_table.COLUMNS}
    for table in PUBLISHED_TABLES:
        for column in table.columns:
            if column.name in (*SHARED, "started_at", "is_final", "trustworthy"):
                assert column == known[column.name]


def test_looks_row__of_a_payload_of_an_older_version__has_null_where_it_says_nothing() -> None:
    row = looks_row(subject(), look(), is_final=True)
    assert list(row) == [column.name for column in LOOKS.columns]
    told = ("decision", "previous_as_of", "new_identities", "late_events", "code_changed", "health_errors")
    assert {name: row[name] for name in told} == dict.fromkeys(told)
    assert (row["look"], row["identities"], row["is_final"]) == (1, 18_000, True)
    assert finding_rows(subject(), look(), None) == []


def test_exposures_rows__of_unlisted_variants__have_no_variant_and_every_bucket_counts_up() -> None:
    points = [
        {"bucket": "2026-03-01T00:00:00Z", "new_identities": {"control": 2}},
        {"bucket": "2026-03-03T00:00:00Z", "new_identities": {"larger": 1, "control": 1}, "unlisted_identities": 5},
    ]
    payload = {"excluded_identities": 0, "timeseries": {"granularity": "day", "points": points}}
    rows = exposures_rows(subject(), look(), payload)  # type: ignore[arg-type]
    assert [list(row) for row in rows] == [[column.name for column in EXPOSURES_TIMESERIES.columns]] * 6
    assert [(row["variant"], row["new_identities"], row["identities"]) for row in rows] == [
        ("control", 2, 2), ("control", 1, 3), ("larger", 0, 0), ("larger", 1, 1), (None, 0, 0), (None, 5, 5),
    ]  # fmt: skip
