"""One comparison has one better side, and verdict, chance to win and expected loss all follow it (rule M1)."""

import dataclasses
from typing import Any

import pytest

from experiment_pipeline.domain.metrics import Direction, ExpectedDirection
from tests.results.subjects import PURCHASE, experiment, metric_payload, rate, results

FALL = {"control": rate(10_000, 1500), "b": rate(10_000, 1000)}
RISE = {"control": rate(10_000, 1000), "b": rate(10_000, 1500)}


def read(direction: Direction, expected: ExpectedDirection, moments: Any) -> tuple[str, float, float, float]:
    """Return the verdict, both chances to win, and the expected loss of the treatment."""
    metric = metric_payload(results(experiment(metric=_metric(direction), expected=expected), moments))
    chances = (metric["effect"]["b"]["chance_to_win"], metric["inference"]["b"]["chance_to_win"])
    return (metric["verdict"]["b"], *chances, metric["expected_loss"]["b"])


def _metric(direction: Direction) -> Any:
    return dataclasses.replace(PURCHASE, direction=direction)


def test_informational__that_falls_as_was_expected__wins_with_certainty_and_loses_nothing__m1() -> None:
    said, *chances, loss = read(Direction.INFORMATIONAL, ExpectedDirection.DECREASE, FALL)
    assert said == "winning"
    assert chances == [pytest.approx(1), pytest.approx(1)]
    assert loss == pytest.approx(0, abs=1e-12)


def test_guardrail__that_must_not_rise_and_rises__is_harmed_with_no_chance_to_win__m1() -> None:
    said, *chances, loss = read(Direction.UP, ExpectedDirection.NOT_INCREASE, RISE)
    assert said == "harmed"
    assert chances == [pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12)]
    assert loss == pytest.approx(0.05)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("expected", ExpectedDirection)
@pytest.mark.parametrize("moments", [FALL, RISE], ids=["fall", "rise"])
def test_comparison__of_any_direction__says_the_same_in_verdict_chance_and_loss__m1(
    direction: Direction, expected: ExpectedDirection, moments: Any
) -> None:
    said, *chances, loss = read(direction, expected, moments)
    is_better = said in ("winning", "ok")
    assert chances == [pytest.approx(float(is_better), abs=1e-9)] * 2
    assert loss == pytest.approx(0.0 if is_better else 0.05, abs=1e-9)
