"""The verdict: what may be said of a treatment at a refresh, after however many refreshes before it."""

from enum import StrEnum

from experiment_pipeline.domain.metrics import Direction, ExpectedDirection, better_direction
from experiment_pipeline.stats.confidence_sequence import AnytimeEffect
from experiment_pipeline.stats.not_computable import NotComputable


class Verdict(StrEnum):
    """`ok` and `harmed` are a guardrail's, `winning` and `losing` every other metric's."""

    COLLECTING_DATA = "collecting_data"
    INCONCLUSIVE = "inconclusive"
    WINNING = "winning"
    LOSING = "losing"
    OK = "ok"
    HARMED = "harmed"


def decide(
    shown: AnytimeEffect | int | NotComputable,
    *,
    direction: Direction,
    expected_direction: ExpectedDirection,
    trustworthy: bool,
    readable: bool = True,
) -> Verdict:
    """Return the verdict of one treatment on one metric, from its anytime-valid interval or its last planned look.

    - While too many of the values that the metric rests on are not readable (rule E5): `inconclusive`, whatever the
      interval of those that are; harm is not said either.
    - Nothing to read it from (below a floor, not computable, before the first planned look): `collecting_data`.
    - A guardrail is `harmed` once the interval lies wholly on its worse side, trustworthy or not: a warning is not
      withheld. Otherwise it is `ok`, which says that harm has not been shown.
    - Any other metric is `winning` or `losing` once the interval lies wholly on its better or its worse side.
    - While the sample ratio is not trustworthy, neither `winning`, `losing` nor `ok` is said (rule S3).

    Of several comparisons, take each interval at the level of its family (`multiplicity`). A planned look has crossed
    its boundary or not: 1 is as an interval wholly above zero, -1 as one below, 0 as one that holds zero.

    Args:
        shown: the interval at its level, or the side of zero that the last planned look has shown, or why there is
            neither.
        direction: which way is better for the metric.
        expected_direction: the experimenter's expectation of the metric, which makes it a guardrail or not.
        trustworthy: whether the sample ratio is.
        readable: whether enough of the values that the metric rests on are (rule E5).

    Example:
        >>> anytime = AnytimeEffect(ci_low=0.001, ci_high=0.02, p_value=0.01)
        >>> gain = {"direction": Direction.UP, "expected_direction": ExpectedDirection.INCREASE}
        >>> decide(anytime, **gain, trustworthy=True), decide(anytime, **gain, trustworthy=False)
        (<Verdict.WINNING: 'winning'>, <Verdict.INCONCLUSIVE: 'inconclusive'>)
    """
    if not readable:
        return Verdict.INCONCLUSIVE
    if isinstance(shown, NotComputable):
        return Verdict.COLLECTING_DATA
    side = shown if isinstance(shown, int) else _side_of_zero(shown)
    gain = -side if better_direction(direction, expected_direction) is Direction.DOWN else side
    if expected_direction.is_guardrail:
        verdict = Verdict.HARMED if gain < 0 else Verdict.OK
    else:
        verdict = {1: Verdict.WINNING, 0: Verdict.INCONCLUSIVE, -1: Verdict.LOSING}[gain]
    return verdict if trustworthy or verdict is Verdict.HARMED else Verdict.INCONCLUSIVE


def _side_of_zero(anytime: AnytimeEffect) -> int:
    """Return 1 where the whole interval is above zero, -1 where below, 0 where it holds zero."""
    return (anytime.ci_low > 0) - (anytime.ci_high < 0)
