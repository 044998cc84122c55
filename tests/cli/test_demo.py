"""`experiment-pipeline demo`, from nothing to results, and `results` on what it made."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from experiment_pipeline.cli.main import main
from experiment_pipeline.demo.landing import DECLARATIONS
from experiment_pipeline.schemas.manifests import parse_manifest

pytestmark = pytest.mark.slow  # two whole demos

STEPS = (
    "Generating events",
    "Declaring experiments",
    "Reading the source hiv_incentive",
    "Loading Dagster",
    "Ingesting the first delivery",
    "Computing product_page_layout, a first look",
    "Ingesting the second delivery",
)
KEYS = tuple(parse_manifest(DECLARATIONS.read_text("utf-8")).experiments)


@dataclass(frozen=True)
class Demo:
    """Two demos in one folder, one after the other."""

    data_dir: Path
    first: Result
    second: Result

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["--data-dir", str(self.data_dir), *arguments])

    def results(self, key: str) -> dict[str, Any]:
        """The results payload."""
        shown = self.run("results", key, "--json")
        assert shown.exit_code == 0, shown.output
        payload = json.loads(shown.stdout)["results"]["payload"]
        assert isinstance(payload, dict)
        return payload


@pytest.fixture(scope="module")  # seconds: once for all tests of this file
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    data_dir = tmp_path_factory.mktemp("demo") / "data"
    first, second = (CliRunner().invoke(main, ["--data-dir", str(data_dir), "demo"]) for _ in range(2))
    return Demo(data_dir, first, second)


def test_demo__from_nothing__ingests_everything_and_reports_every_experiment(demo: Demo) -> None:
    assert demo.first.exit_code == 0, demo.first.output
    assert "0 new events ingested" not in demo.first.stdout
    assert "2,834 new rows of the source hiv_incentive" in demo.first.stdout
    positions = [demo.first.stdout.index(f"  {key}, ") for key in KEYS]
    assert positions == sorted(positions)


def test_demo__of_the_real_experiment__shows_its_published_numbers(demo: Demo) -> None:
    """Thornton (2008): 33.9 % without an incentive, 78.9 % with one; the effect is the paper's 45 points."""
    payload = demo.results("hiv_result_incentive")
    (learned,) = payload["metrics"]
    counts = {key: (arm["sum"], arm["n"]) for key, arm in learned["variants"].items()}
    assert counts == {
        "control": (pytest.approx(211, rel=1e-12), 623),
        "incentive": (pytest.approx(1745, rel=1e-12), 2211),
    }
    assert learned["effect"]["incentive"]["value"] == pytest.approx(1745 / 2211 - 211 / 623, rel=1e-12)
    assert learned["verdict"] == {"incentive": "winning"}
    for shown in ("211 of 623  33.868 %", "1,745 of 2,211  78.924 %", "+45.055 points"):
        assert shown in demo.first.stdout


def verdicts(payload: dict[str, Any]) -> set[str]:
    return {verdict for metric in payload["metrics"] for verdict in metric["verdict"].values()}


def test_demo__broken_split__is_flagged_and_nothing_wins_on_it(demo: Demo) -> None:
    payload = demo.results("search_suggestions")
    assert payload["trustworthy"] is False
    assert verdicts(payload) <= {"inconclusive", "harmed"}
    assert demo.first.stdout.count("split BROKEN") == 1
    assert demo.first.stdout.count("Do not trust these numbers") == 1


def codes(demo: Demo, key: str) -> set[str]:
    """The codes of the findings that did not pass."""
    shown = demo.run("health", key, "--json")
    assert shown.exit_code == 0, shown.output
    findings = json.loads(shown.stdout)["health"]["findings"]
    return {each["code"] for each in findings if each["severity"] != "ok"}


def test_demo__health__finds_the_broken_split_and_late_data_and_nothing_else(demo: Demo) -> None:
    assert {key: codes(demo, key) for key in KEYS} == {
        "one_page_checkout": {"events_land_late"},
        "same_banner_twice": {"events_land_late"},
        "search_suggestions": {"sample_ratio_mismatch", "events_land_late"},
        "product_page_layout": {"events_stale", "events_land_late"},  # it runs, and its events end in February
        "hiv_result_incentive": set(),
    }


def test_demo__health__judges_rejected_records_and_duplicates_of_the_shop(demo: Demo) -> None:
    shown = demo.run("health", "one_page_checkout", "--all", "--json")
    assert shown.exit_code == 0, shown.output
    found = {each["check"]: each for each in json.loads(shown.stdout)["health"]["findings"]}
    rejected, duplicates = found["few_rejected"], found["few_duplicates"]
    assert (rejected["code"], duplicates["code"]) == ("few_rejected", "few_duplicates")
    assert rejected["evidence"]["rejected"] > 0
    assert duplicates["evidence"]["duplicates"] > 0


def test_demo__same_banner_twice__finds_no_difference(demo: Demo) -> None:
    payload = demo.results("same_banner_twice")
    assert payload["trustworthy"] is True
    assert verdicts(payload) <= {"inconclusive", "ok"}


def test_demo__clear_winner__wins_on_its_primary_metric(demo: Demo) -> None:
    assert demo.results("one_page_checkout")["metrics"][0]["verdict"] == {"one_page": "winning"}


@pytest.fixture(scope="module")
def as_json(demo: Demo) -> dict[str, Any]:
    """A third demo's account of itself."""
    shown = demo.run("demo", "--json")
    assert shown.exit_code == 0, shown.output
    content = json.loads(shown.stdout)
    assert isinstance(content, dict)
    return content


def test_demo__truth__is_held_by_the_intervals_of_every_metric_and_dimension_value(
    demo: Demo, as_json: dict[str, Any]
) -> None:
    rows = as_json["truth"]
    parts = {(row["dimension"], row["value"]) for row in rows if row["experiment"] == "one_page_checkout"}
    assert parts == {
        (None, None), ("device", "mobile"), ("device", "desktop"), ("country", "DE"), ("country", "FR"),
        ("country", None),
    }  # fmt: skip
    metrics = {row["metric"] for row in rows if row["dimension"] == "device"}
    assert metrics == {each["name"] for each in demo.results("one_page_checkout")["metrics"]}
    read = [row for row in rows if row["lift"] is not None]
    missed = [row for row in read if not row["ci_low"] <= row["true_lift"] <= row["ci_high"]]
    assert len(read) > 60
    assert len(missed) <= 0.1 * len(read), "5 % are expected"
    assert [row["covers"] for row in read] == [row not in missed for row in read]


def test_demo__truth__no_verdict_contradicts_it(as_json: dict[str, Any]) -> None:
    lower_is_better = {"load_time", "load_time_p90", "support_contacts"}
    gains = {
        (row["metric"], row["verdict"], row["true_lift"] * (-1 if row["metric"] in lower_is_better else 1))
        for row in as_json["truth"]
    }
    assert {verdict for _, verdict, _ in gains} >= {"winning", "harmed", "ok", "inconclusive"}
    assert [each for each in gains if each[1] == "winning" and each[2] <= 0] == []
    assert [each for each in gains if each[1] in ("losing", "harmed") and each[2] >= 0] == []


def test_demo__truth__effect_on_mobile_alone__shows_in_the_breakdown(as_json: dict[str, Any]) -> None:
    found = {
        (row["metric"], row["value"]): (round(row["true_lift"], 9), row["verdict"])
        for row in as_json["truth"]
        if row["dimension"] == "device"
    }
    for metric in ("purchase_rate", "revenue", "checkout"):
        assert found[metric, "mobile"] == (1.0, "winning")
        assert found[metric, "desktop"] == (0.0, "inconclusive")


def test_demo__truth__is_compared_with_the_reading_that_decides(demo: Demo, as_json: dict[str, Any]) -> None:
    (revenue,) = (each for each in demo.results("one_page_checkout")["metrics"] if each["name"] == "revenue")
    assert revenue["decided_by"] == {"one_page": "adjusted"}
    shown = [row for row in as_json["truth"] if (row["experiment"], row["metric"]) == ("one_page_checkout", "revenue")]
    assert shown[0]["lift"] == revenue["adjusted"]["one_page"]["inference"]["lift"]
    assert shown[0]["lift"] != revenue["inference"]["one_page"]["lift"]


def test_demo__truth__is_printed_overall_first_and_fits_100_columns(demo: Demo) -> None:
    shown = demo.first.stdout[demo.first.stdout.index("The truth behind") :]
    assert max(len(line.rstrip()) for line in shown.splitlines() if str(demo.data_dir) not in line) <= 100
    overall, parts = (shown.index(each) for each in ("product_page_layout, reviews_first", 'device "mobile"'))
    assert overall < parts
    assert {line.split()[1] for line in shown.splitlines() if "average_order_value" in line} == {"none"}


def test_readme__its_output_of_the_demo__is_what_the_demo_prints(demo: Demo) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (block,) = (each for each in readme.split("```")[1::2] if "records in" in each)
    printed = [line.rstrip() for line in demo.first.stdout.splitlines()]
    assert [line for line in block.strip().splitlines() if line != "..." and line not in printed] == []


def test_demo__holdout__is_exposed_and_not_compared__x6(demo: Demo) -> None:
    metrics = demo.results("product_page_layout")["metrics"]
    assert set(metrics[0]["variants"]) == {"control", "gallery", "reviews_first"}
    assert "not compared: holdout" in demo.run("results", "product_page_layout").stdout


def test_demo__running_experiment__was_looked_at_after_each_delivery(demo: Demo) -> None:
    second, first = json.loads(demo.run("looks", "product_page_layout", "--json").stdout)[-2:]
    assert (first["number"], second["number"]) == (1, 2)
    assert second["identities"] - first["identities"] > 500
    assert demo.run("looks", "product_page_layout", "--diff", "1", "2").exit_code == 0


def test_demo__every_look__is_what_a_replay_of_it_gives__r10(demo: Demo) -> None:
    replayed = {key: demo.run("replay", key) for key in KEYS}
    assert {key: run.exit_code for key, run in replayed.items()} == dict.fromkeys(KEYS, 0)
    lines = [line for run in replayed.values() for line in run.stdout.splitlines()]
    assert len(lines) > len(KEYS)
    assert {line.rpartition(": ")[2] for line in lines} == {"equal to the last bit"}


def test_demo__tables__have_its_looks_and_rebuilt_all_of_them(demo: Demo) -> None:
    def counted() -> dict[str, int]:
        looks = pl.read_delta(str(demo.data_dir / "tables" / "looks"))
        return {key: looks.filter(experiment=key).height for key in KEYS}

    assert set(KEYS) == {key for key, count in counted().items() if count}
    assert demo.run("tables", "rebuild").exit_code == 0
    assert counted() == {key: len(json.loads(demo.run("looks", key, "--json").stdout)) for key in KEYS}


def test_demo__again__ingests_nothing_new_and_reports_the_same_final_results(demo: Demo) -> None:
    assert demo.second.exit_code == 0, demo.second.output
    assert "0 new events ingested, 0 duplicates dropped" in demo.second.stdout
    assert " 0 new rows of the source hiv_incentive" in demo.second.stdout

    def final(shown: str) -> str:
        return shown[shown.index("Cash for learning") :]

    assert final(demo.second.stdout) == final(demo.first.stdout)


def test_results__of_one_experiment__are_shown_as_the_demo_showed_them(demo: Demo) -> None:
    shown = demo.run("results", "hiv_result_incentive", "--environment", "field-study")
    assert shown.exit_code == 0
    report, _, legend = shown.stdout.partition("\n\n")
    assert report in demo.second.stdout
    assert "chance to win:" in legend


def test_demo__without_a_terminal__says_what_it_does_on_standard_error(demo: Demo) -> None:
    first, second = (
        [line for line in run.stderr.splitlines() if line.endswith(" ...")] for run in (demo.first, demo.second)
    )
    assert first[: len(STEPS)] == [f"{step} ..." for step in STEPS]
    assert second[: len(STEPS) - 1] == [f"{step} ..." for step in STEPS if "first look" not in step]
    assert sorted(first[len(STEPS) :]) == sorted(f"Computing {key} ..." for key in KEYS)
    assert len(second) < len(first), "final results are not computed again"
    assert "..." not in demo.first.stdout


def test_demo__as_json__counts_what_it_did(as_json: dict[str, Any]) -> None:
    assert as_json["ingested"] == {"accepted": 0, "duplicates": 0, "rejected": 0}
    assert as_json["experiments"] == list(KEYS)


def test_make_demo__ends_with_the_next_step() -> None:
    recipe = (Path(__file__).parents[2] / "Makefile").read_text("utf-8").partition("\ndemo:")[2].partition("\n\n")[0]
    assert "Next, your own data: docs/tutorial.md" in recipe.splitlines()[-1]
