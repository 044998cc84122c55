"""`experiments discover`: from exposures of the past to results, and what is told where there is nothing to find."""

import csv
import json
import math
import random
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.lake.ledger import exposure, land

MANIFEST = """
environments: {prod: {}}
metrics:
  revenue: {definition: {version: 2, statistic: mean, measure: {event: purchased, aggregation: sum}}}
"""
EXPOSURES = ("--exposures", "--as", "feature=button", "--yes", "--oldest", "2015-01-01")
ORDERS = (
    *("--events", "--as", "event=purchased", "--as", "timestamp=placed", "--as", "value=euros"),
    *("--yes", "--oldest", "2015-01-01"),
)


@pytest.fixture
def prepared(run: Run, tmp_path: Path) -> Run:
    (tmp_path / "metrics.yaml").write_text(MANIFEST)
    assert run("apply", tmp_path / "metrics.yaml").exit_code == 0
    return run


def write(path: Path, *rows: tuple[object, ...]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_discover__exposures_that_experiments_cover__prints_nothing_to_declare(declared: Run, tmp_path: Path) -> None:
    shown = declared("experiments", "discover")
    assert "# No exposures of environment production are in the lake." in shown.output
    land(tmp_path / "data" / "landing", [exposure(feature_name="other", value="x")], "a.jsonl", "production")
    assert declared("lake", "ingest").exit_code == 0
    found = json.loads(declared("experiments", "discover", "--json").output)
    assert [(flag["feature"], flag["probable_control"]["sign"]) for flag in found["flags"]] == [
        ("other", "most_identities")
    ]
    filled = found["manifest"].replace("# percentage_allocation:", "percentage_allocation: 100")
    (tmp_path / "found.yaml").write_text(filled)
    applied = declared("apply", tmp_path / "found.yaml")
    assert "variants" in applied.output, "an experiment needs two variants"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-e", "prd"], "No environment 'prd'"),
    ],
)
def test_discover__bad_request__is_refused(prepared: Run, arguments: list[str], message: str) -> None:
    refused = prepared("experiments", "discover", *arguments)
    assert refused.exit_code == 2
    assert message in refused.output


@pytest.mark.parametrize("oldest", ["1969-12-31", "2020-01-02", "2015", "yesterday", "2015-02-30"])
def test_import__oldest_day_that_is_none__is_refused(prepared: Run, tmp_path: Path, oldest: str) -> None:
    path = write(tmp_path / "a.csv", ("user_id", "variant", "at"), ("a", "control", "2015-03-01T00:00:00Z"))
    refused = prepared("import", path, "--as", "feature=button", "--yes", "--oldest", oldest)
    assert refused.exit_code == 2
    assert "--oldest: Must be a date from 1970-01-01 to 2020-01-01, such as 2015-01-01." in refused.output


def test_import__older_data__are_rejected_with_the_remedy_or_accepted_from_the_oldest_day_on(
    prepared: Run, tmp_path: Path
) -> None:
    head = ("user_id", "variant", "assigned")
    rows = [("a", "control", "2015-03-01T00:00:00Z"), ("b", "control", "2014-12-31T23:59:59Z")]
    given = ("import", write(tmp_path / "a.csv", head, *rows), "--as", "feature=button", "--yes", "--json")
    refused = prepared(*given)
    assert refused.exit_code == 2
    assert "Every row would be rejected (timestamp_too_old: 2)." in refused.output
    assert json.loads(prepared(*given, "--oldest", "2015-01-01", "--dry-run").output)["rejected"] == {
        "timestamp_too_old": 1
    }
    assert json.loads(prepared(*given, "--oldest", "2015-01-01").output)["accepted"] == 1
    assert "set `oldest` of the source" in prepared(*given[:-1], "--dry-run").output


def test_source__of_older_data__brings_events_from_its_oldest_day_on_and_check_says_the_same(
    prepared: Run, tmp_path: Path
) -> None:
    rows = [("a", "control", "2015-03-01T00:00:00Z"), ("b", "control", "2014-12-31T23:59:59Z")]
    write(tmp_path / "old.csv", ("user_id", "variant", "assigned"), *rows)
    (tmp_path / "source.yaml").write_text("""
sources:
  old:
    files: old.csv
    oldest: 2015-01-01
    as: {feature: button, variant: variant, identifier: user_id, timestamp: assigned}
""")
    assert prepared("apply", tmp_path / "source.yaml").exit_code == 0
    assert json.loads(prepared("sources", "check", "old", "--json").output)["rejected"] == {"timestamp_too_old": 1}
    pulled = json.loads(prepared("sources", "pull", "old", "--json").output)
    assert (pulled["accepted"], pulled["rejected"]) == (1, {"timestamp_too_old": 1})


@pytest.mark.slow
def test_discover__exposures_of_2015__are_declared_and_final_at_once(prepared: Run, tmp_path: Path) -> None:
    """Import, discover, fill in, apply, refresh: the numbers are those of the files."""
    numbers = random.Random(3)
    arm = {f"{n:04}": numbers.choice(["control", "larger"]) for n in range(1_200)}
    spent = {who: round(numbers.lognormvariate(2, 1), 2) for who in arm if numbers.random() < 0.4}
    shown = [(who, arm[who], f"2015-03-{1 + place % 9:02}T10:00:00Z") for place, who in enumerate(arm)]
    bought = [
        (who, f"2015-03-{10 + place % 9:02}T10:00:00Z", euros) for place, (who, euros) in enumerate(spent.items())
    ]
    exposures = write(tmp_path / "a.csv", ("user_id", "variant", "assigned"), *shown)
    orders = write(tmp_path / "o.csv", ("user_id", "placed", "euros"), *bought)
    assert prepared("import", exposures, *EXPOSURES).exit_code == 0
    assert prepared("import", orders, *ORDERS).exit_code == 0

    text = prepared("experiments", "discover").output
    for left, filled in (
        ("# percentage_allocation:", "percentage_allocation: 50"),
        ("# metrics: [{metric: NAME", "metrics: [{metric: revenue"),
        ("status: running", "status: completed"),
        ("# ended_at:", "ended_at: 2015-04-01T00:00:00Z"),
    ):
        assert left in text
        text = text.replace(left, filled)
    (tmp_path / "found.yaml").write_text(text)
    assert prepared("apply", tmp_path / "found.yaml").exit_code == 0
    answer = json.loads(prepared("refresh", "button", "--json").output)

    payload = answer["results"]["payload"]
    counts = {key: sum(variant == key for variant in arm.values()) for key in ("control", "larger")}
    assert payload["srm"]["identities"] == counts
    (revenue,) = payload["metrics"]
    for key, identities in counts.items():
        values = [euros for who, euros in spent.items() if arm[who] == key]
        assert revenue["variants"][key]["n"] == identities
        assert revenue["variants"][key]["sum"] == pytest.approx(math.fsum(values), rel=1e-12)
    assert "final" in prepared("results", "button").output
    assert "# Experiments cover every flag and variant" in prepared("experiments", "discover").output
