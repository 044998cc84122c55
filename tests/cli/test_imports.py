"""`import`: files with a team's own columns become events, once."""

import csv
import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean

import pytest
import scipy.stats

from tests.cli.conftest import Run

STARTED_AT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=20)
MANIFEST = f"""
environments: {{prod: {{}}}}
metrics:
  purchase: {{aggregation: occurrence, definition: {{version: 1, event: purchased}}}}
  revenue: {{aggregation: sum, definition: {{version: 1, event: purchased}}}}
experiments:
  button:
    hypothesis: A larger button sells more.
    feature: button
    variants: [{{key: larger, percentage_allocation: 50}}]
    metrics: [{{metric: purchase, expected_direction: increase}}, {{metric: revenue, expected_direction: increase}}]
    status: running
    started_at: {STARTED_AT.isoformat()}
"""
ASSIGNMENTS = (
    *("--exposures", "--as", "feature=button", "--as", "timestamp=assigned", "--timezone", "UTC"),
    *("--map", "variant:0=control", "--map", "variant:1=larger", "--as", "traits=country"),
)
ORDERS = ("--events", "--as", "event=purchased", "--as", "identifier=customer", "--as", "timestamp=placed")


@pytest.fixture
def assignments(tmp_path: Path) -> Path:
    path = tmp_path / "assignments.csv"
    path.write_text("user_id,group,assigned,country\n007,0,2026-11-02 10:00:00,DE\n8,1,2026-11-02,\n8,1,yesterday,\n")
    return path


@pytest.fixture
def prepared(run: Run, tmp_path: Path) -> Run:
    path = tmp_path / "experiments.yaml"
    path.write_text(MANIFEST)
    assert run("apply", path).exit_code == 0
    return run


def test_import__dry_run__shows_the_mapping_the_records_and_what_is_rejected(prepared: Run, assignments: Path) -> None:
    shown = prepared("import", assignments, *ASSIGNMENTS, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "0 is control, 1 is larger; guessed" in shown.output
    assert '"identifier":"007","timestamp":"2026-11-02T10:00:00.000Z","traits":{"country":"DE"}' in shown.output
    assert "rejected, bad_timestamp: 1" in shown.output
    assert "nothing has landed" in shown.output
    assert "Nothing new has landed" in prepared("lake", "ingest").output


def test_import__file__is_ingested_once_and_what_is_no_event_is_rejected(prepared: Run, assignments: Path) -> None:
    first = prepared("import", assignments, *ASSIGNMENTS, "--yes", "--json")
    counts = json.loads(first.output)
    assert (counts["rows"], counts["landed"], counts["accepted"]) == (3, 3, 2)
    assert counts["rejected"] == {"bad_timestamp": 1}
    again = prepared("import", assignments, *ASSIGNMENTS, "--yes")
    assert "has landed with this mapping before" in again.output
    other = json.loads(
        prepared("import", assignments, *ASSIGNMENTS, "--as", "metadata=group", "--yes", "--json").output
    )
    assert (other["accepted"], other["duplicates"]) == (0, 2)


def test_import__every_row_rejected__is_refused_with_the_reasons_and_lands_nothing(
    prepared: Run, tmp_path: Path
) -> None:
    (tmp_path / "orders.csv").write_text("user_id,at\n" + "7,05/01/2026\n" * 1_500 + "7,2019-01-01T00:00:00Z\n")
    arguments = ("import", tmp_path / "orders.csv", "--as", "event=bought", "--as", "timestamp=at", "--yes")
    refused = prepared(*arguments)
    assert refused.exit_code == 2
    message = "Error: file: Every row would be rejected (bad_timestamp: 1,500, timestamp_too_old: 1)."
    assert refused.output.splitlines()[-1].startswith(message)
    assert "Nothing new has landed" in prepared("lake", "ingest").output
    with (tmp_path / "orders.csv").open("a") as orders:
        orders.write("7,2026-11-02 10:00:00+00\n")
    counts = json.loads(prepared(*arguments, "--json").output)
    assert (counts["accepted"], counts["rejected"]) == (1, {"bad_timestamp": 1_500, "timestamp_too_old": 1})


def test_import__guess_without_a_terminal__asks_for_yes_and_lands_nothing(prepared: Run, assignments: Path) -> None:
    refused = prepared("import", assignments, *ASSIGNMENTS)
    assert refused.exit_code == 2
    assert "or these: --as variant=group --as identifier=user_id" in refused.output
    assert "Nothing new has landed" in prepared("lake", "ingest").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--as", "identifier"], "--as: Must be FIELD=COLUMN, such as identifier=user_id, got 'identifier'"),
        (["--as", "event=a", "--as", "event=b"], "'event' is given twice"),
        (["--map", "variant=control"], "--map: Must be FIELD:TEXT=TEXT"),
        (["--as", "identifier=usr"], "as.identifier: There is no column 'usr'. Did you mean 'user_id'?"),
        (["--events", "--as", "timestamp=assigned"], "as.event: Must be given: --as event=purchased, or a column"),
        (["--as", "timestamp=assigned"], "as.feature: Must be given: --as feature=button, or a column."),
        (["--as", "feature=button", "--as", "timestamp=assigned", "-e", "prd"], "No environment 'prd'"),
        (
            ["--as", "feature=button", "--as", "timestamp=assigned", "--timezone", "Utopia"],
            "--timezone: 'Utopia' is no time zone",
        ),
    ],
)
def test_import__bad_request__is_refused_and_nothing_lands(
    prepared: Run, assignments: Path, arguments: list[str], message: str
) -> None:
    refused = prepared("import", assignments, *arguments, "--yes")
    assert refused.exit_code == 2
    assert message in refused.output
    assert "Nothing new has landed" in prepared("lake", "ingest").output


def test_import__values_that_are_no_numbers__are_counted_before_and_after(prepared: Run, tmp_path: Path) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text("customer,placed,amount\na,2026-11-02T10:00:00Z,9.50\nb,2026-11-02T10:00:00Z,EUR 9\n")
    given = ("import", orders, *ORDERS, "--as", "value=amount")
    said = "1 of 2 values are no numbers, such as 'EUR 9': sums, means and quantiles leave them out"
    assert said in prepared(*given, "--dry-run").output
    assert json.loads(prepared(*given, "--dry-run", "--json").output)["not_numbers"] == 1
    assert said in prepared(*given, "--yes").output
    again = json.loads(prepared(*given, "--yes", "--json").output)
    assert (again["landed_before"], again["not_numbers"]) == (True, None)
    assert "are no numbers" not in prepared(*given[:-2], "--yes").output


@pytest.mark.parametrize("option", ["--dry-run", "--yes"])
def test_import__times_without_a_zone__ask_for_it_and_nothing_lands(
    prepared: Run, assignments: Path, option: str
) -> None:
    given = ("--as", "feature=button", "--as", "timestamp=assigned", option)
    refused = prepared("import", assignments, *given)
    assert refused.exit_code == 2
    assert "as.timestamp: '2026-11-02 10:00:00' has no time zone: name the zone that it is in" in refused.output
    assert "Nothing new has landed" in prepared("lake", "ingest").output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user_id,group,assigned,country\n", "file: 'assignments.csv' has no rows"),
        ("user_id,group,assigned,country\na,,2026-11-02,DE\n", "as.variant: Every row of column 'group' is empty"),
        ("user_id,group,assigned,country\na,1,2026-11-02,DE\nb\n", "Expected Number of Columns: 4 Found: 1"),
    ],
)
def test_import__file_that_is_no_rows_of_events__lands_nothing(
    prepared: Run, assignments: Path, content: str, message: str
) -> None:
    assignments.write_text(content)
    refused = prepared("import", assignments, *ASSIGNMENTS, "--yes")
    assert refused.exit_code == 2
    assert message in refused.output
    assert "Nothing new has landed" in prepared("lake", "ingest").output


@pytest.mark.slow
def test_import__assignments_and_orders__are_results_in_four_commands(run: Run, tmp_path: Path) -> None:
    """From an empty folder: apply, import, import, refresh; the numbers are those of the files."""
    random.seed(7)
    drawn = [(f"{n:05}", n % 2, STARTED_AT + timedelta(minutes=n), random.random() < 0.2) for n in range(2_000)]
    spent = {who: round(random.lognormvariate(3, 1), 2) for who, _, _, buys in drawn if buys}
    orders = [(who, at + timedelta(hours=1), spent[who]) for who, _, at, buys in drawn if buys]
    _write(tmp_path / "assignments.csv", "user_id group assigned country", [(*row[:3], "DE") for row in drawn])
    _write(tmp_path / "orders.csv", "customer placed total_eur", orders)
    (tmp_path / "experiments.yaml").write_text(MANIFEST)

    run("apply", tmp_path / "experiments.yaml")
    run("import", tmp_path / "assignments.csv", *ASSIGNMENTS, "--yes")
    run("import", tmp_path / "orders.csv", *ORDERS, "--as", "value=total_eur")
    results = json.loads(run("refresh", "button", "--json").output)["results"]["payload"]

    arm = {who: "larger" if group else "control" for who, group, *_ in drawn}
    assert results["srm"]["identities"] == Counter(arm.values())
    buyers, revenue = results["metrics"]
    for key in ("control", "larger"):
        values = [value for who, value in spent.items() if arm[who] == key]
        assert buyers["variants"][key]["sum"] == len(values)
        assert revenue["variants"][key]["sum"] == pytest.approx(math.fsum(values), rel=1e-12)

    larger, control = ([spent.get(who, 0) for who in arm if arm[who] == key] for key in ("larger", "control"))
    welch = scipy.stats.ttest_ind(larger, control, equal_var=False)  # an implementation that shares no code with ours
    interval, found = welch.confidence_interval(0.95), revenue["frequentist"]["larger"]
    assert revenue["effect"]["larger"]["value"] == pytest.approx(fmean(larger) - fmean(control), rel=1e-9)
    assert (found["p_value"], found["ci_low"], found["ci_high"]) == pytest.approx(
        (welch.pvalue, interval.low, interval.high), rel=1e-9
    )


def _write(path: Path, columns: str, rows: Sequence[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns.split(), *rows])
