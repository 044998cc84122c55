"""`experiment-pipeline demo`, from nothing to results, and `results` on what it made."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from experiment_pipeline.cli.main import main
from experiment_pipeline.demo.landing import DECLARATIONS
from experiment_pipeline.schemas.manifests import parse_manifest

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


def test_demo__same_banner_twice__finds_no_difference(demo: Demo) -> None:
    payload = demo.results("same_banner_twice")
    assert payload["trustworthy"] is True
    assert verdicts(payload) <= {"inconclusive", "ok"}


def test_demo__clear_winner__wins_on_its_primary_metric(demo: Demo) -> None:
    assert demo.results("one_page_checkout")["metrics"][0]["verdict"] == {"one_page": "winning"}


def test_demo__holdout__is_exposed_and_not_compared__x6(demo: Demo) -> None:
    metrics = demo.results("product_page_layout")["metrics"]
    assert set(metrics[0]["variants"]) == {"control", "gallery", "reviews_first"}
    assert "not compared: holdout" in demo.run("results", "product_page_layout").stdout


def test_demo__again__ingests_nothing_new_and_reports_the_same_final_results(demo: Demo) -> None:
    assert demo.second.exit_code == 0, demo.second.output
    assert "0 new events ingested, 0 duplicates dropped" in demo.second.stdout

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
    prepared = [f"{step} ..." for step in ("Generating events", "Declaring experiments", "Loading Dagster")]
    assert first[:4] == second[:4] == [*prepared, "Ingesting events ..."]
    assert sorted(first[4:]) == sorted(f"Computing {key} ..." for key in KEYS)
    assert len(second) < len(first), "final results are not computed again"
    assert "..." not in demo.first.stdout


def test_demo__as_json__counts_what_it_did(demo: Demo) -> None:
    shown = demo.run("demo", "--json")
    assert shown.exit_code == 0, shown.output
    content = json.loads(shown.stdout)
    assert content["ingested"] == {"accepted": 0, "duplicates": 0, "rejected": 0}
    assert content["experiments"] == list(KEYS)


def test_make_demo__ends_with_the_next_step() -> None:
    recipe = (Path(__file__).parents[2] / "Makefile").read_text("utf-8").partition("\ndemo:")[2].partition("\n\n")[0]
    assert "Next, your own data: docs/tutorial.md" in recipe.splitlines()[-1]
