"""Results as CSV."""

import csv
import io

import pytest

from experiment_pipeline.cli.results_csv import COLUMNS, write_csv
from experiment_pipeline.domain.refresh import Computation
from tests.cli.test_results import state
from tests.cli.test_results_table import METRIC, TREATMENT, subject, winning
from tests.pages.published import payload_of
from tests.pages.published import subject as pages_subject


def test_csv__of_results__has_a_row_per_metric_and_variant() -> None:
    experiment, file = subject(), io.StringIO()
    payload = winning(experiment)
    write_csv(experiment, state(Computation.RESULTS, payload), file)
    control, treatment = csv.DictReader(io.StringIO(file.getvalue()))
    assert tuple(control) == COLUMNS
    assert (control["metric"], control["variant"], control["n"], control["effect"]) == (METRIC, "control", "9000", "")
    assert (treatment["variant"], treatment["verdict"], treatment["as_of"]) == (
        TREATMENT,
        "winning",
        "2026-03-10T12:00:00Z",
    )
    inference = payload["metrics"][0]["inference"][TREATMENT]
    assert inference is not None
    assert float(treatment["lift"]) == inference["lift"]
    assert float(treatment["value"]) == pytest.approx(0.3)
    metric = payload["metrics"][0]
    frequentist, best = metric["frequentist"][TREATMENT], metric["chance_to_be_best"]
    assert frequentist is not None
    assert best is not None
    assert float(treatment["p_one_look"]) == frequentist["p_value"]
    assert float(treatment["p_one_look_adjusted"]) == frequentist["adjusted_p_value"]
    assert {row["variant"]: float(row["chance_to_be_best"]) for row in (control, treatment)} == best
    anytime, risk = metric["anytime"][TREATMENT], metric["risk"][TREATMENT]
    assert anytime is not None
    assert risk is not None
    assert [float(treatment[name]) for name in ("all_looks_low", "all_looks_high", "loss_if_ship", "loss_if_keep")] == [
        anytime["ci_low"], anytime["ci_high"], risk["if_ship"], risk["if_keep"],
    ]  # fmt: skip
    assert (control["loss_if_ship"], treatment["from_margin"], treatment["post_stratified_low"]) == ("", "", "")
    assert (treatment["information_fraction"], treatment["days_left"]) == ("", ""), "there is no design"


@pytest.mark.parametrize("name", ['=HYPERLINK("http://127.0.0.1";"x")', "+1", "-1+1", "@x", "\tx"])
def test_csv__name_that_a_spreadsheet_would_compute__begins_with_an_apostrophe(name: str) -> None:
    of, file = pages_subject(1, name=name), io.StringIO()
    write_csv(of, state(Computation.RESULTS, payload_of(of, treated=700)), file)
    _, treatment = csv.DictReader(io.StringIO(file.getvalue()))
    assert treatment["metric"] == f"'{name}"
    assert float(treatment["effect"]) == pytest.approx(-0.05), "numbers stay numbers"


def test_csv__before_results__is_its_header() -> None:
    file = io.StringIO()
    write_csv(subject(), state(Computation.RESULTS, None), file)
    assert file.getvalue() == ",".join(COLUMNS) + "\n"
