"""Hypothesis strategies: what a definition of version 2 may say, drawn from the whole grammar (rules M6-M14, M18)."""

from datetime import timedelta

from hypothesis import strategies as st

from experiment_pipeline.domain.definitions import Defined
from experiment_pipeline.domain.measures import (
    WHOLE_TIME,
    Aggregation,
    Bound,
    Condition,
    Events,
    Measure,
    MeasureWindow,
    Missing,
    Operator,
    Scalar,
)
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Quantile, Ratio, Retention

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=10).filter(
    lambda name: bool(name.strip()) and not name.startswith("$")
)
PARTS = TEXTS.map(lambda text: text.replace(".", "")).filter(bool)
PATHS = st.builds(
    lambda root, parts: ".".join([root, *parts]),
    st.sampled_from(("traits", "metadata")),
    st.lists(PARTS, min_size=1, max_size=3),
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.integers(-(2**53), 2**53) | FINITE
SECONDS = st.integers(1, 366 * 86_400)
DURATIONS = st.builds(lambda seconds: timedelta(seconds=seconds), SECONDS)
VALUES: st.SearchStrategy[Scalar] = TEXTS | NUMBERS
ENDING = st.builds(
    lambda one, other: MeasureWindow(timedelta(seconds=min(one, other)), timedelta(seconds=max(one, other) + 1)),
    st.integers(0, 366 * 86_400 - 1),
    st.integers(0, 366 * 86_400 - 1),
)
WINDOWS = st.just(WHOLE_TIME) | ENDING | st.builds(MeasureWindow, DURATIONS)
NUMERIC = [each for each in Aggregation if each is not Aggregation.OCCURRENCE]


def conditions() -> st.SearchStrategy[Condition]:
    """One condition with an operand that fits its operator."""
    field = st.just("value") | PATHS
    several = st.lists(VALUES, min_size=1, max_size=4).map(tuple) | st.lists(st.booleans(), min_size=1).map(tuple)
    return st.one_of(
        st.builds(Condition, field, st.just(Operator.IS), VALUES | st.booleans()),
        st.builds(Condition, field, st.sampled_from((Operator.IN, Operator.NOT_IN)), several),
        st.builds(Condition, field, st.sampled_from((Operator.AT_LEAST, Operator.AT_MOST)), VALUES),
        st.builds(Condition, field, st.just(Operator.EXISTS), st.booleans()),
    )


def events(windows: st.SearchStrategy[MeasureWindow] = WINDOWS) -> st.SearchStrategy[Events]:
    return st.builds(Events, NAMES, st.lists(conditions(), max_size=3).map(tuple), windows)


def _bounds(low: float, high: float) -> st.SearchStrategy[Bound]:
    inside = st.floats(low, high, exclude_min=True, exclude_max=True)
    return st.builds(Bound, percentile=inside, of_nonzero=st.booleans())


@st.composite
def measures(draw: st.DrawFn, windows: st.SearchStrategy[MeasureWindow] = WINDOWS, *, sliced: bool = False) -> Measure:
    """A measure with or without bounds, as far as its aggregation lets."""
    aggregation = draw(st.sampled_from(Aggregation))
    missing = draw(st.sampled_from(Missing)) if aggregation.may_lack_value else Missing.LEFT_OUT
    cap = floor = None
    if aggregation in NUMERIC:
        low, high = sorted((draw(FINITE), draw(FINITE)))
        if missing is Missing.ZERO or not aggregation.may_lack_value:
            high = abs(high)  # a cap below 0 would change identities without an event (rule M10)
        floor = draw(st.none() | st.just(Bound(at=low)) | _bounds(0, 50))
        cap = draw(st.none() | st.just(Bound(at=high or 1.0)) | _bounds(50, 100))
    return Measure(
        draw(events(windows)),
        aggregation,
        missing,
        cap,
        floor,
        draw(st.none() | PATHS) if sliced else None,
    )


@st.composite
def defined(draw: st.DrawFn) -> Defined:
    """The meaning of a definition of version 2."""
    maturity = draw(st.sampled_from(Maturity))
    windows = ENDING if maturity is Maturity.COMPLETE else WINDOWS
    q = st.floats(0.0001, 0.9999)
    statistic = draw(
        st.one_of(
            st.builds(Mean, measures(windows, sliced=True), st.none() | DURATIONS),
            st.builds(Ratio, measures(windows), measures(windows)),
            st.builds(Quantile, q, measures(windows)),
            st.builds(Quantile, q, events(windows)),
            st.builds(Retention, st.builds(Measure, events(ENDING), st.just(Aggregation.OCCURRENCE))),
            st.builds(
                Funnel, st.lists(events(st.just(WHOLE_TIME)), min_size=2, max_size=4).map(tuple), st.none() | DURATIONS
            ),
        )
    )
    if isinstance(statistic, Retention):
        maturity = Maturity.COMPLETE
    return Defined(2, statistic, Maturity.ALL if isinstance(statistic, Funnel) else maturity)
