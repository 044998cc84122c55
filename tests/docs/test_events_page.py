"""docs/events.md says of records, reasons and files what the code does."""

import re
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from experiment_pipeline.api.collector import LARGEST_BODY, MOST_EVENTS
from experiment_pipeline.domain import events
from experiment_pipeline.domain.events import Event, Reason, Rejected
from experiment_pipeline.errors import NotJson
from experiment_pipeline.landing import layout
from experiment_pipeline.landing.ignored import IgnoredReason
from experiment_pipeline.landing.parquet_rows import REQUIRED, RowReader
from experiment_pipeline.landing.problems import Problem
from tests.docs.pages import documents

PAGE = documents()["docs/events.md"]
NOW = datetime(2026, 11, 30, tzinfo=UTC)
MOMENT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
SECTIONS = dict(re.findall(r"^#+ (.+)\n((?:(?!#).*\n)*)", PAGE, re.MULTILINE))
ROW = re.compile(r"^\| (`.+?`) \| ?(.*?) \| (.*) \|$", re.MULTILINE)
CODE = re.compile("`([^`]+)`")
RECORDS = [
    line for block in re.findall(r"^```json\n((?:.*\n)*?)```", PAGE, re.MULTILINE) for line in block.splitlines()
]
REASONS = {
    CODE.findall(cell)[0]: CODE.findall(example) for cell, example, _ in ROW.findall(SECTIONS["Rejected records"])
}
EXAMPLES = [(reason.partition(":")[0], example[0]) for reason, example in REASONS.items() if example]


def judged(text: str) -> Event | Rejected:
    """Return what becomes of a record's text in the environment `production`."""
    try:
        record = events.decode(text)
    except NotJson:
        return Rejected(Reason.NOT_JSON)
    return events.parse(record, "production", NOW)


def test_record__fields__are_those_of_the_contract_with_their_limits() -> None:
    rows = ROW.findall(SECTIONS["A record"])
    fields = {name: text for cell, _, text in rows for name in CODE.findall(cell)}
    required = {name for cell, when, _ in rows if when == "required" for name in CODE.findall(cell)}
    limits = {name: found[1] for name, text in fields.items() if (found := re.search("up to ([0-9,]+)", text))}
    names = dict.fromkeys(("event", "identifier", "feature_name", "event_id"), f"{events.NAME_LIMIT:,}")
    nested = dict.fromkeys(("traits", "metadata"), f"{events.NESTING_LIMIT}")
    assert set(fields) == set(events.FIELDS)
    assert required == set(REQUIRED)
    assert limits == names | nested | {"value": f"{events.VALUE_LIMIT:,}"}


@pytest.mark.parametrize("text", RECORDS)
def test_record__each_example__is_accepted(text: str) -> None:
    assert isinstance(judged(text), Event)


def test_reasons__table__has_every_reason() -> None:
    assert {reason.partition(":")[0] for reason in REASONS} == {str(reason) for reason in Reason}
    assert len(EXAMPLES) >= 11


@pytest.mark.parametrize(("reason", "text"), EXAMPLES)
def test_reasons__each_example__is_rejected_for_its_reason(reason: str, text: str) -> None:
    found = judged(text)
    assert isinstance(found, Rejected)
    assert found.reason.partition(":")[0] == reason


def test_reasons__times_named__are_those_of_the_code() -> None:
    rows = {CODE.findall(cell)[0]: advice for cell, _, advice in ROW.findall(SECTIONS["Rejected records"])}
    assert f"before {events.OLDEST:%Y-%m-%d}" in rows["timestamp_too_old"]
    assert f"over {events.FUTURE_TOLERANCE.total_seconds() / 3600:g} hours" in rows["timestamp_in_future"]


def test_requests__limits__are_those_of_the_collector() -> None:
    assert f"up to {MOST_EVENTS:,} records and {LARGEST_BODY >> 20} MiB" in SECTIONS["Over HTTP"]


def test_files__suffixes_problems_and_reasons__are_all_there() -> None:
    section = SECTIONS["In files"]
    named = set(CODE.findall(section))
    assert {name for name in named if name.startswith(".") and len(name) > 1} == set(layout.SUFFIXES)
    assert {str(each) for each in (*Problem, *IgnoredReason)} <= named
    assert f"up to {layout.NAME_LIMIT:,} characters" in section
    assert layout.stamp("20261102T093000.000Z-orders.jsonl") == MOMENT


@pytest.mark.parametrize(
    "columns",
    [
        {"value": pl.Series([b"12.5"])},
        {"value": pl.Series([12]), "identifier": pl.Series([7])},
        {"value": pl.Series([12.5]), "event": pl.Series(["purchase"], dtype=pl.Categorical())},
        {"value": pl.Series(["12.50"]).cast(pl.Decimal(9, 2)), "timestamp": pl.Series([1793698260000])},
        {"value": pl.Series([True]), "timestamp": pl.Series(["2026-11-02T09:30:00Z"])},
        {"traits": pl.Series([{"age": 7}]), "metadata": pl.Series(['{"page": "/cart"}'])},
        {"event": pl.Series([b"purchase"]), "event_id": pl.Series(["a"], dtype=pl.Categorical())},
    ],
)
def test_parquet__each_type_named__is_accepted(columns: dict[str, pl.Series], tmp_path: Path) -> None:
    plain = {"event": pl.Series(["purchase"]), "identifier": pl.Series(["a"]), "timestamp": pl.Series([MOMENT])}
    path = tmp_path / "rows.parquet"
    written = BytesIO()
    pl.DataFrame(plain | columns).write_parquet(written)
    path.write_bytes(written.getvalue())
    (frame,) = RowReader(path).lines()
    assert isinstance(judged(frame["text"][0]), Event)
