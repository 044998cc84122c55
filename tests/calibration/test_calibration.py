"""A small, seeded calibration: every bound of the full one, as wide as its fewer experiments need."""

import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from experiment_pipeline.calibration import __main__ as command
from experiment_pipeline.calibration.peeking import information, mean_paths
from experiment_pipeline.calibration.populations import Binary, computed
from experiment_pipeline.calibration.report import table
from experiment_pipeline.calibration.studies import DESIGN, STUDIES, Study
from experiment_pipeline.stats.anytime import anytime_effect, log_mixture
from experiment_pipeline.stats.effect import effect
from experiment_pipeline.stats.outcomes import NotComputable

EXPERIMENTS = 400


def noise(share: float) -> float:
    """Four standard errors of a share that so few experiments find."""
    return 4 * math.sqrt(max(share * (1 - share) / EXPERIMENTS, EXPERIMENTS**-2))


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_calibration__small_sample__does_not_refute_the_bound(study: Study) -> None:
    found = study.run((7, STUDIES.index(study)), EXPERIMENTS)
    for reading in study.readings:
        measured = reading.measured(found)
        assert reading.low - noise(reading.low) <= measured <= reading.high + noise(reading.high), reading.name


def test_peeking__arrays__say_what_the_verdict_s_own_interval_says() -> None:
    paths = mean_paths((5,), 3, Binary(0.05), Binary(0.06), looks=4, batch=500)
    rng = np.random.default_rng((5,))
    control, treatment = Binary(0.05)(rng, 3, 4, 500), Binary(0.06)(rng, 3, 4, 500)
    log_m = log_mixture(np.abs(paths.z), information(paths, DESIGN))
    for i, k in np.ndindex(3, 4):
        arms = control.aggregate(i, k), treatment.aggregate(i, k)
        exact = anytime_effect(computed(effect(*arms)), *arms, DESIGN)
        assert exact.p_value == pytest.approx(np.exp(-max(0.0, float(log_m[i, k]))), rel=1e-9)


def test_table__a_missed_bound__is_shown_and_counted() -> None:
    found = [study.run((1, number), 2) for number, study in enumerate(STUDIES)]
    text, missed = table(found, seed=1, on=date(2026, 1, 2))
    assert missed == text.count("**missed**") > 0
    assert "seed 1, 2026-01-02, 2 simulated" in text


def test_computed__withheld_answer__stops_the_simulation() -> None:
    with pytest.raises(AssertionError, match="no_variance"):
        computed(NotComputable("no_variance"))


@pytest.mark.slow
def test_command__few_experiments__writes_the_same_page_for_any_number_of_processes(tmp_path: Path) -> None:
    pages = []
    for processes in (1, 2):
        output = tmp_path / f"{processes}.md"
        arguments = ["--experiments", "250", "--processes", str(processes), "--output", str(output)]
        assert CliRunner().invoke(command.main, arguments).exit_code in (0, 1)
        pages.append(output.read_text("utf-8"))
    assert pages[0] == pages[1]
