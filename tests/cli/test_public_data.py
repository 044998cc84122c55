"""Two public experiments, from their files to results: the numbers are those of scipy and statsmodels."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.settings import PREFIX
from tests.cli.conftest import Run
from tests.golden.files import cases

FILES = Path(__file__).parents[1] / "public_data"
MANIFEST = """
environments: {research: {}}
metrics:
  earnings:
    unit: USD
    definition: {version: 2, statistic: mean, measure: {event: earned_1978, aggregation: sum}}
  reply:
    definition:
      {version: 2, statistic: mean, measure: {event: answered, aggregation: occurrence, where: [{field: value, is: 1}]}}
experiments:
  nsw:
    hypothesis: A guaranteed job raises later earnings.
    feature: training
    variants: [{key: treated, percentage_allocation: 50}]  # the plan is not known
    metrics: [{metric: earnings, expected_direction: increase}]
    status: completed
    started_at: 1976-01-01T00:00:00Z
    ended_at: 1979-01-01T00:00:00Z
  legislators:
    hypothesis: Legislators answer people of other districts less often.
    feature: sender
    variants: [{key: treated, percentage_allocation: 50}]
    metrics: [{metric: reply, expected_direction: not_decrease}]
    status: completed
    started_at: 2010-01-01T00:00:00Z
    ended_at: 2011-01-01T00:00:00Z
"""
NSW = ("identifier=person", "1976-06-01T00:00:00Z", "1978-12-31T00:00:00Z", "1976-01-01")
LEGISLATORS = ("identifier=legislator", "2010-06-01T00:00:00Z", "2010-07-01T00:00:00Z", "2010-01-01")
ACCURACY = 1e-9


@pytest.fixture
def research(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv(f"{PREFIX}MINIMUM_NONZERO", "100")  # 140 of the 185 treated people earned something
    (tmp_path / "research.yaml").write_text(MANIFEST)
    assert run("apply", tmp_path / "research.yaml").exit_code == 0
    return run


def imported(run: Run, name: str, given: tuple[str, ...], exposures: tuple[str, ...], events: tuple[str, ...]) -> Any:
    """Import a file as exposures and as events, refresh, and return the payload with the expected answers."""
    (expected,) = [case for case in cases("public_experiments") if case["file"] == name]
    identifier, exposed_at, measured_at, oldest = given
    for kind, fields, at in (("--exposures", exposures, exposed_at), ("--events", events, measured_at)):
        mapped = [part for field in (*fields, identifier, f"timestamp={at}") for part in ("--as", field)]
        maps = ("--map", "variant:0=control", "--map", "variant:1=treated") if kind == "--exposures" else ()
        shown = run("import", FILES / f"{name}.csv", kind, *mapped, *maps, "--oldest", oldest, "--json")
        counts = json.loads(shown.output)
        assert (counts["accepted"], counts["rejected"]) == (sum(expected["n"]), {})
    return json.loads(run("refresh", name, "--json").output)["results"]["payload"], expected


def require_equal(metric: Any, expected: Any) -> None:
    """Compare counts, means, the difference, and the test of fixed samples with its interval."""
    assert [metric["variants"][key]["n"] for key in ("control", "treated")] == expected["n"]
    means = [metric["variants"][key]["value"] for key in ("control", "treated")]
    assert means == pytest.approx(expected["mean"], rel=ACCURACY)
    assert metric["effect"]["treated"]["value"] == pytest.approx(expected["difference"], rel=ACCURACY)
    for name in ("statistic", "p_value", "ci_low", "ci_high"):
        assert metric["frequentist"]["treated"][name] == pytest.approx(expected[name], rel=ACCURACY), name


@pytest.mark.slow
def test_import__job_training_of_1976__has_the_published_effect_on_earnings(research: Run) -> None:
    payload, expected = imported(
        research, "nsw", NSW, ("feature=training", "variant=treat"), ("event=earned_1978", "value=re78")
    )
    (earnings,) = payload["metrics"]
    require_equal(earnings, expected)
    assert round(earnings["effect"]["treated"]["value"]) == 1_794  # Dehejia and Wahba 1999
    assert earnings["frequentist"]["treated"]["test"] == "welch_t"


@pytest.mark.slow
def test_import__legislators__answer_less_often_and_their_split_is_as_planned(research: Run) -> None:
    exposures, events = ("feature=sender", "variant=treat_out"), ("event=answered", "value=responded")
    payload, expected = imported(research, "legislators", LEGISLATORS, exposures, events)
    (reply,) = payload["metrics"]
    require_equal(reply, expected)
    assert payload["srm"]["chi_square"] == pytest.approx(expected["split"]["chi2"], rel=ACCURACY)
    assert payload["srm_p_value"] == pytest.approx(expected["split"]["p_value"], rel=ACCURACY)
    assert reply["frequentist"]["treated"]["test"] == "two_proportion_z"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("value=re79", "identifier=person"), "as.value: There is no column 're79'. Did you mean 're78' or"),
        (("value=re78", "identifier=persons"), "as.identifier: There is no column 'persons'. Did you mean 'person'?"),
    ],
)
def test_import__column_that_is_not_there__is_named_and_nothing_lands(
    research: Run, fields: tuple[str, ...], message: str
) -> None:
    mapped = [part for field in ("event=earned_1978", f"timestamp={NSW[2]}", *fields) for part in ("--as", field)]
    refused = research("import", FILES / "nsw.csv", "--events", *mapped, "--oldest", NSW[3])
    assert refused.exit_code == 2
    assert message in refused.output
    assert "Nothing new has landed" in research("lake", "ingest").output
