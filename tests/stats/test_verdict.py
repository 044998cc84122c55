"""The verdict: from the anytime-valid interval alone, and never a win that is not trustworthy."""

import pytest

from experiment_pipeline.domain.metrics import Direction, ExpectedDirection
from experiment_pipeline.stats.confidence_sequence import AnytimeEffect
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.verdict import Verdict, decide

HIGHER, LOWER, EITHER = (AnytimeEffect(low, high, 0.01) for low, high in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)))
UP, DOWN, INFORMATIONAL = Direction.UP, Direction.DOWN, Direction.INFORMATIONAL
INCREASE, DECREASE = ExpectedDirection.INCREASE, ExpectedDirection.DECREASE
NOT_INCREASE, NOT_DECREASE = ExpectedDirection.NOT_INCREASE, ExpectedDirection.NOT_DECREASE


@pytest.mark.parametrize("interval", [HIGHER, LOWER, EITHER, NotComputable("below_minimum_identities")])
@pytest.mark.parametrize("expected", list(ExpectedDirection))
@pytest.mark.parametrize("trustworthy", [True, False])
def test_decide__values_that_are_not_readable__say_nothing_and_no_harm_either__e5(
    interval: AnytimeEffect | NotComputable, expected: ExpectedDirection, trustworthy: bool
) -> None:
    said = decide(interval, direction=UP, expected_direction=expected, trustworthy=trustworthy, readable=False)
    assert said is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("interval", "direction", "expected", "verdict"),
    [
        (HIGHER, UP, INCREASE, Verdict.WINNING),
        (LOWER, UP, INCREASE, Verdict.LOSING),
        (EITHER, UP, INCREASE, Verdict.INCONCLUSIVE),
        (HIGHER, DOWN, DECREASE, Verdict.LOSING),
        (LOWER, DOWN, DECREASE, Verdict.WINNING),
        (HIGHER, INFORMATIONAL, INCREASE, Verdict.WINNING),
        (HIGHER, INFORMATIONAL, DECREASE, Verdict.LOSING),
        (HIGHER, DOWN, NOT_INCREASE, Verdict.HARMED),
        (LOWER, DOWN, NOT_INCREASE, Verdict.OK),
        (EITHER, DOWN, NOT_INCREASE, Verdict.OK),
        (LOWER, UP, NOT_DECREASE, Verdict.HARMED),
        (HIGHER, UP, NOT_DECREASE, Verdict.OK),
    ],
)
def test_decide__interval_against_zero__reads_the_direction(
    interval: AnytimeEffect, direction: Direction, expected: ExpectedDirection, verdict: Verdict
) -> None:
    assert decide(interval, direction=direction, expected_direction=expected, trustworthy=True) is verdict


@pytest.mark.parametrize(
    ("interval", "expected", "verdict"),
    [
        (HIGHER, INCREASE, Verdict.INCONCLUSIVE),
        (LOWER, INCREASE, Verdict.INCONCLUSIVE),
        (HIGHER, NOT_DECREASE, Verdict.INCONCLUSIVE),
        (LOWER, NOT_DECREASE, Verdict.HARMED),
    ],
)
def test_decide__untrustworthy__only_warns(
    interval: AnytimeEffect, expected: ExpectedDirection, verdict: Verdict
) -> None:
    assert decide(interval, direction=UP, expected_direction=expected, trustworthy=False) is verdict


@pytest.mark.parametrize("expected", ExpectedDirection)
def test_decide__nothing_computable__is_collecting_data(expected: ExpectedDirection) -> None:
    withheld = NotComputable("below_minimum_identities")
    verdict = decide(withheld, direction=UP, expected_direction=expected, trustworthy=True)
    assert verdict is Verdict.COLLECTING_DATA


def test_decide__interval_that_touches_zero__is_inconclusive() -> None:
    touching = AnytimeEffect(0.0, 0.1, 0.05)
    assert decide(touching, direction=UP, expected_direction=INCREASE, trustworthy=True) is Verdict.INCONCLUSIVE
