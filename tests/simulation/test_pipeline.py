"""Simulated experiments run through the pipeline: payloads of the first days are those of the traffic that landed."""

from itertools import islice
from pathlib import Path

import polars as pl
import pytest

from tests.simulation.pipeline import published
from tests.simulation.traffic import BASELINE, ERRORS, PLANNED, SAMPLES, Simulated, as_of, experiments

SUBJECT = Simulated(205, 0.2, 5)


def test_events__of_an_experiment__are_its_own_whatever_the_others_and_as_many_as_planned() -> None:
    events = SUBJECT.events()
    assert events.equals(SUBJECT.events())
    assert not events.equals(Simulated(206, 0.2, 5).events())
    exposed = events.filter(pl.col("feature_name") == "e205")
    assert len(exposed) == round(SAMPLES * (PLANNED.control + PLANNED.treatment)) == 5_024
    share = events.filter(pl.col("event") == "converted_e205").height / len(exposed)
    assert share == pytest.approx(BASELINE * 1.1, abs=0.02)
    assert events.filter(pl.col("event") == "failed_e205").height / len(exposed) == pytest.approx(ERRORS, abs=0.02)


def test_experiments__every_second__plans_looks() -> None:
    assert [(each.lift, each.n_looks) for each in experiments(3, 2)] == [(0, 1), (0, 5), (0, 1), (0.2, 5), (0.2, 1)]


@pytest.mark.slow
def test_published__first_days__count_who_was_exposed_until_then(tmp_path: Path) -> None:
    events = SUBJECT.events()
    found = list(islice(published([SUBJECT], tmp_path), 3))
    assert [each.day for each in found] == [1, 2, 3]
    for each in found:
        exposed = events.filter(
            pl.col("feature_name").is_not_null(), pl.col("timestamp") < as_of(each.day).timestamp() * 1000
        )
        assert sum(each.payload["srm"]["identities"].values()) == len(exposed)
        assert each.payload["look"]["number"] == each.day
        assert each.payload["decision"]["action"] in ("keep_running", "ship", "rollback", "inconclusive")
