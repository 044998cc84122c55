"""A small, seeded calibration: every bound of the full one, as wide as its fewer experiments need."""

import json
import math
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from experiment_pipeline.domain.aggregates import PairAggregate
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.confidence_sequence import anytime_effect
from experiment_pipeline.stats.cuped import cuped
from experiment_pipeline.stats.effect import effect
from experiment_pipeline.stats.evidence import accrued_evidence, pooled_standard_error
from experiment_pipeline.stats.multiplicity import benjamini_hochberg_levels
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.ratio import ratio_aggregate
from tests.calibration import __main__ as command
from tests.calibration.families import rejected_together
from tests.calibration.fixed import Arms
from tests.calibration.peeking import Paths, cuped_paths, log_anytime, mean_paths, ratio_paths
from tests.calibration.populations import Baskets, Binary, Habits, PairPopulation, Seed, computed
from tests.calibration.report import table
from tests.calibration.studies import DESIGN, LARGE_STUDIES, STUDIES, Study
from tests.slow_cases import slow_after

EXPERIMENTS, FEW = 400, 50


def refuted(study: Study, seed: Seed, experiments: int) -> list[str]:
    """Return the readings that lie further outside their bounds than four standard errors of so few experiments."""

    def noise(share: float) -> float:
        return 4 * math.sqrt(max(share * (1 - share), 1 / experiments) / experiments)

    found = study.run(seed, experiments)
    return [
        reading.name
        for reading in study.readings
        if not reading.low - noise(reading.low) <= reading.measured(found) <= reading.high + noise(reading.high)
    ]


@pytest.mark.parametrize("study", slow_after(12, STUDIES), ids=[study.name for study in STUDIES])
def test_calibration__small_sample__does_not_refute_the_bound(study: Study) -> None:
    assert refuted(study, (7, STUDIES.index(study)), EXPERIMENTS) == []


@pytest.mark.slow
@pytest.mark.parametrize("study", LARGE_STUDIES, ids=[study.name for study in LARGE_STUDIES])
def test_calibration__small_sample_of_a_large_study__does_not_refute_the_bound(study: Study) -> None:
    assert refuted(study, (8, LARGE_STUDIES.index(study)), FEW) == []


def test_peeking__arrays__say_what_the_verdict_s_own_interval_says() -> None:
    paths = mean_paths((5,), 3, Binary(0.05), Binary(0.06), looks=4, batches=(500, 500))
    rng = np.random.default_rng((5,))
    control, treatment = Binary(0.05)(rng, 3, 4, 500), Binary(0.06)(rng, 3, 4, 500)
    log_m: Floats = log_anytime(paths, DESIGN)
    for i, k in np.ndindex(3, 4):
        arms = control.aggregate(i, k), treatment.aggregate(i, k)
        evidence = accrued_evidence(Clock.ODDS, *arms, (0, 0), DESIGN)
        exact = anytime_effect(computed(effect(*arms)), *arms, evidence)
        assert exact.p_value == pytest.approx(math.exp(-max(0.0, float(log_m[i, k]))), rel=1e-9)


def test_peeking__arrays_of_pairs__say_what_ratio_and_cuped_say() -> None:
    def same(paths: Paths, arms_of: Callable[[PairAggregate, PairAggregate], Arms], population: PairPopulation) -> None:
        rng = np.random.default_rng((5,))
        control, treatment = population(rng, 3, 4, 60), population(rng, 3, 4, 60)
        for i, k in np.ndindex(3, 4):
            arms = arms_of(control.aggregate(i, k), treatment.aggregate(i, k))
            found = computed(effect(*arms))
            assert paths.effect[i, k] == pytest.approx(found.value, rel=1e-9)
            assert paths.standard_error[i, k] == pytest.approx(found.standard_error, rel=1e-9)
            cautious = max(found.standard_error, pooled_standard_error(*arms))
            assert paths.cautious_error[i, k] == pytest.approx(cautious, rel=1e-9)

    def ratios(control: PairAggregate, treatment: PairAggregate) -> Arms:
        return computed(ratio_aggregate(control)), computed(ratio_aggregate(treatment))

    def adjusted(control: PairAggregate, treatment: PairAggregate) -> Arms:
        adjustment = computed(cuped(control, treatment))
        return adjustment.control, adjustment.treatment

    same(ratio_paths((5,), 3, Baskets(1.2), looks=4, batch=60), ratios, Baskets(1.2))
    same(cuped_paths((5,), 3, Habits(2.0), looks=4, batch=60), adjusted, Habits(2.0))


def test_families__arrays__reject_what_the_levels_reject() -> None:
    p_values = np.random.default_rng(5).random((6, 40, 5)) ** 4
    found = rejected_together(p_values, 0.05)
    assert 0 < found.sum() < found.size
    for i, k in np.ndindex(40, 5):
        family = p_values[:, i, k].tolist()
        levels = benjamini_hochberg_levels(family, 0.05)
        assert found[:, i, k].tolist() == [p <= level for p, level in zip(family, levels, strict=True)]


def test_table__a_missed_bound__is_shown_and_counted() -> None:
    found = [study.run((1, number), 2) for number, study in enumerate(STUDIES)]
    text, missed = table(STUDIES, found, seed=1, on=date(2026, 1, 2))
    assert missed == text.count("**missed**") > 0
    assert "seed 1, 2026-01-02" in text
    assert "| 2 |" in text


def test_computed__withheld_answer__stops_the_simulation() -> None:
    with pytest.raises(AssertionError, match="no_variance"):
        computed(NotComputable("no_variance"))


@pytest.mark.slow
def test_command__few_experiments__writes_the_same_page_for_any_number_of_processes(tmp_path: Path) -> None:
    pages = []
    for processes in (1, 2):
        output = tmp_path / f"{processes}.md"
        arguments = [
            "--study",
            "Peeking 30",
            "--experiments",
            "250",
            "--processes",
            str(processes),
            "--output",
            str(output),
        ]
        assert CliRunner().invoke(command.main, arguments).exit_code in (0, 1)
        pages.append(output.read_text("utf-8"))
    assert pages[0] == pages[1]


@pytest.mark.slow
def test_command__finished_studies__are_taken_from_their_file(tmp_path: Path) -> None:
    finished, output = tmp_path / "finished.jsonl", tmp_path / "page.md"
    arguments = ["--study", "Peeking 30 times, ratio", "--experiments", "250", "--processes", "1"]
    arguments += ["--finished", str(finished), "--output", str(output)]
    assert CliRunner().invoke(command.main, arguments).exit_code in (0, 1)
    (line,) = finished.read_text("utf-8").splitlines()
    assert '"anytime": ' in line
    assert json.loads(line)["seconds"] > 0
    finished.write_text(re.sub('"anytime": [0-9]+', '"anytime": 250', line) + "\n", "utf-8")
    assert CliRunner().invoke(command.main, arguments).exit_code == 1
    assert "| 100.00%" in output.read_text("utf-8")
    assert len(finished.read_text("utf-8").splitlines()) == 1
