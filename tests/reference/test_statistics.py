"""Rules M6-M15, M18 and M20 from events to aggregates, on a few identities."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from tests.reference.aggregates import Aggregates, Bounds, Group, aggregate, joint_moments, moments
from tests.reference.events import EXPOSURE, Event, JsonNumber
from tests.reference.exposures import Experiment, Variant, first_exposures
from tests.reference.metrics import (
    Aggregation,
    Bound,
    Condition,
    Events,
    Funnel,
    Mean,
    Measure,
    Metric,
    Quantile,
    Ratio,
    Retention,
    Statistic,
)
from tests.reference.quantiles import QuantileEstimate

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
EXPERIMENT = Experiment(
    environment_key="demo",
    feature="checkout",
    variants=[Variant("control", "control"), Variant("b", "treatment", 50), Variant("h", "holdout", 10)],
    metrics=[],
    started_at=START,
    as_of=START + 48 * HOUR,
    data_version=1,
)


def seen(who: str, variant: str, after: timedelta = timedelta(0), **traits: Any) -> Event:
    """An exposure."""
    return Event("demo", EXPOSURE, "checkout", who, variant, START + after, "", traits)


def bought(who: str, value: str | None, after: timedelta = HOUR, **metadata: Any) -> Event:
    """A purchase."""
    return Event("demo", "buy", None, who, value, START + after, "", None, metadata)


def of(statistic: Statistic, *events: Event, complete: bool = False, experiment: Experiment = EXPERIMENT) -> Aggregates:
    """The aggregates of one metric."""
    return aggregate(Metric(1, statistic, complete=complete), events, first_exposures(events, experiment), experiment)


def measure(aggregation: Aggregation, **fields: Any) -> Measure:
    """A measure of purchases."""
    return Measure(Events("buy"), aggregation, **fields)


def sample(*values: float) -> Any:
    """The moments of these values."""
    return moments([Fraction(value) for value in values])


CONTROL = [seen("ann", "control"), seen("bob", "control"), seen("cat", "control")]
OTHERS = [seen("dan", "b"), seen("hal", "h")]
PEOPLE = CONTROL + OTHERS


def test_m6_an_identity_without_a_value_is_left_out() -> None:
    events = [*PEOPLE, bought("ann", "4"), bought("ann", "2"), bought("bob", "none"), bought("dan", "0")]
    found = of(Mean(measure("mean")), *events)
    assert found.by_variant == {"control": sample(3), "b": sample(0), "h": sample()}
    assert found.identities == {"control": 3, "b": 1, "h": 1}
    assert found.with_value == {"control": 1, "b": 1, "h": 0}
    assert found.nonzero == {"control": 1, "b": 0, "h": 0}
    assert found.largest == {"control": 3, "b": 0, "h": None}
    assert (found.values["control"], found.invalid_values["control"]) == (3, 1)

    zero = of(Mean(measure("mean", zero_if_missing=True)), *events)
    assert zero.by_variant["control"] == sample(3, 0, 0)
    assert zero.with_value["control"] == 1


def test_m9_a_ratio_needs_both_values() -> None:
    events = [*PEOPLE, bought("ann", "4"), bought("ann", "2"), bought("bob", "none")]
    orders = of(Ratio(measure("sum"), measure("count")), *events)
    assert orders.joint["control"] == joint_moments(
        [(Fraction(2), Fraction(6)), (Fraction(1), Fraction(0)), (Fraction(0), Fraction(0))]
    )
    assert orders.by_variant["control"] == sample(6, 0, 0)
    assert orders.joint["control"].sum_products == 12
    assert orders.joint["control"].c_xy == 6  # 12 - 3 * 6 / 3

    largest_of_orders = of(Ratio(measure("count"), measure("max")), *events)
    assert largest_of_orders.joint["control"] == joint_moments([(Fraction(4), Fraction(2))])
    assert largest_of_orders.identities["control"] == 3
    assert largest_of_orders.with_value["control"] == 1


def test_m10_a_percentile_is_of_compared_identities_together() -> None:
    # 1, 2, 3 in control and 4 in b: the cap at 75 % is 3. The holdout's 100 and the excluded 200 do not count.
    events = [*PEOPLE, seen("eve", "control"), seen("eve", "b"), bought("eve", "200"), bought("hal", "100")]
    events += [bought("ann", "1"), bought("bob", "2"), bought("cat", "3"), bought("dan", "4")]
    found = of(Mean(measure("sum", cap=Bound(percentile=75), floor=Bound(at=1.5))), *events)
    assert found.by_variant["control"] == sample(1.5, 2, 3)
    assert found.by_variant["b"] == sample(3)
    assert found.bounds is not None
    assert (found.bounds.cap, found.bounds.floor) == (Fraction(3), Fraction(3, 2))
    assert found.bounds.capped == {"control": 0, "b": 1, "h": 1}
    assert found.bounds.floored == {"control": 1, "b": 0, "h": 0}
    assert found.largest["b"] == 3


def test_m10_each_measure_of_a_ratio_has_its_own_bounds() -> None:
    events = [*PEOPLE, bought("ann", "9"), bought("ann", "1", after=2 * HOUR), bought("dan", "2")]
    found = of(Ratio(measure("sum", cap=Bound(at=5)), measure("count", floor=Bound(at=1))), *events)
    assert found.bounds == Bounds(Fraction(5), None, {"control": 1, "b": 0, "h": 0}, {"control": 0, "b": 0, "h": 0})
    assert found.joint_bounds is not None
    assert found.joint_bounds.floored == {"control": 2, "b": 0, "h": 1}
    assert found.joint["control"].x == sample(2, 1, 1)
    assert of(Mean(measure("sum")), *events).bounds is None


def test_m11_the_covariate_is_the_same_measure_before_the_first_exposure() -> None:
    before = [bought("ann", "7", after=-HOUR), bought("ann", "9", after=-3 * HOUR), bought("bob", "none", after=-HOUR)]
    after = [bought("ann", "4"), bought("cat", "2")]
    found = of(Mean(measure("mean"), before=2 * HOUR), *PEOPLE, *before, *after)
    assert found.joint["control"] == joint_moments([(Fraction(7), Fraction(4)), (Fraction(0), Fraction(2))])
    assert (found.values["control"], found.invalid_values["control"]) == (2, 0)


def test_m11_a_percentile_of_the_covariate_is_of_its_own_values() -> None:
    before = [
        bought(who, str(value), after=-HOUR) for who, value in (("ann", 10), ("bob", 20), ("cat", 30), ("dan", 40))
    ]
    found = of(Mean(measure("sum", cap=Bound(percentile=75)), before=2 * HOUR), *PEOPLE, *before, bought("ann", "1"))
    assert found.joint["b"].x == sample(30)
    assert found.bounds is not None
    assert found.bounds.cap == 0  # of 0, 0, 0 and 1
    assert found.bounds.capped["control"] == 1


def test_m8_who_is_not_mature_waits() -> None:
    # The window ends 24 hours after the exposure, the refresh is as of hour 48.
    events = [seen("ann", "control", 24 * HOUR), seen("bob", "control", 25 * HOUR), seen("dan", "b", 30 * HOUR)]
    window = Measure(Events("buy", end=24 * HOUR), "occurrence")
    found = of(Mean(window), *events, bought("ann", None, after=24 * HOUR), complete=True)
    assert found.by_variant == {"control": sample(1), "b": sample()}
    assert found.not_mature == {"control": 1, "b": 1}
    assert of(Mean(window), *events).not_mature == {}
    ratio = Ratio(Measure(Events("buy", end=HOUR), "sum"), window)
    assert of(ratio, *events, complete=True).identities == {"control": 1, "b": 0}  # the longest window of both


def test_m12_a_quantile_of_identities() -> None:
    people = [seen(f"c{number}", "control") for number in range(10)]
    paid = [bought(f"c{number}", str(number + 1)) for number in range(9)]
    found = of(Quantile(0.5, measure("max")), *people, seen("dan", "b"), *paid)
    # 9 values: 4.5 -+ 1.96 * 1.5 gives the ranks 1 and 9
    assert found.quantiles == {"control": QuantileEstimate(9, Fraction(5), Fraction(1), Fraction(9)), "b": None}
    assert found.identities["control"] == 10


def test_m12_a_quantile_of_events() -> None:
    loads = [bought(who, str(number)) for number, who in enumerate(["ann"] * 3 + ["bob"] * 2, start=1)]
    found = of(Quantile(0.5, Events("buy")), *PEOPLE, *loads, bought("cat", "none"))
    # 1..5, the median is 3; all of ann's are at most it, none of bob's
    assert found.quantiles["control"] == QuantileEstimate(2, Fraction(3), None, None)
    assert found.quantiles["b"] is None
    assert (found.values["control"], found.invalid_values["control"]) == (6, 1)


def test_m13_retention_is_an_occurrence_in_a_window() -> None:
    within = Measure(Events("buy", start=24 * HOUR, end=48 * HOUR), "occurrence")
    late = seen("eve", "control", HOUR)
    found = of(
        Retention(within), *PEOPLE, late, bought("ann", None), bought("bob", None, after=24 * HOUR), complete=True
    )
    assert found.by_variant["control"] == sample(0, 1, 0)
    assert found.not_mature == {"control": 1}


def test_m14_every_step_is_of_all_identities() -> None:
    visited = [replace(bought(who, None, after=timedelta(0)), event="view") for who in ("ann", "bob")]
    found = of(Funnel((Events("view"), Events("buy"))), *PEOPLE, *visited, bought("ann", None), bought("cat", None))
    assert found.by_variant["control"] == sample(1, 0, 0)
    steps = {group.name: part.by_variant["control"] for group, part in found.groups.items()}
    assert steps == {"1": sample(1, 1, 0), "2": sample(1, 0, 0)}


def test_m15_an_identity_has_the_trait_of_its_first_exposure() -> None:
    split = replace(EXPERIMENT, dimensions={"country": "country"})
    events = [
        seen("ann", "control", country="DE"),
        seen("ann", "control", after=HOUR, country="AT"),
        seen("bob", "control", country=JsonNumber("5.0")),
        seen("cat", "control", country=None),
        seen("eve", "b", country=["DE"]),
        seen("dan", "b", country="DE"),
        seen("hal", "h", country="CH"),
        bought("ann", "3"),
    ]
    groups = of(Mean(measure("sum")), *events, experiment=split).groups
    assert {group.value: part.by_variant["control"].n for group, part in groups.items()} == {"DE": 1, "5.0": 1, None: 1}
    assert groups[Group("dimension", "country", "DE")].by_variant == {"control": sample(3), "b": sample(0)}
    assert groups[Group("dimension", "country", None)].by_variant["b"].n == 1


def test_m15_of_exposures_that_tie_the_smallest_hash_decides() -> None:
    split = replace(EXPERIMENT, dimensions={"country": "country"}, multiple_exposures="first")
    ties = [replace(seen("ann", "control", country=f"{number}"), event_id=f"{number}") for number in range(9)]
    smaller = seen("ann", "b", country="b")  # the smaller variant key is the first exposure, whatever its hash
    (group,) = of(Mean(measure("sum")), *ties, experiment=split).groups
    assert group.value == min(ties, key=lambda event: event.hash).event_id
    (group,) = of(Mean(measure("sum")), *ties, smaller, experiment=split).groups
    assert group.value == "b"


def test_m15_the_20_largest_values_and_the_rest() -> None:
    split = replace(EXPERIMENT, dimensions={"country": "country"})
    people = [seen(f"{number}", "control", country=f"c{number:02}") for number in range(22)]
    people += [seen("again", "b", country="c21"), bought("19", "1"), bought("20", "2"), seen("nobody's", "b")]
    groups = of(Mean(measure("sum")), *people, experiment=split).groups
    listed = {group.value for group in groups if not group.is_other}
    assert listed == {None, "c21", *[f"c{number:02}" for number in range(18)]}  # ties by text, null before them
    assert groups[Group("dimension", "country", is_other=True)].by_variant["control"] == sample(0, 1, 2)


def test_m15_bounds_of_a_cell_are_those_of_everybody() -> None:
    split = replace(EXPERIMENT, dimensions={"country": "country"})
    events = [seen("ann", "control", country="DE"), seen("bob", "control", country="AT")]
    events += [bought("ann", "1"), bought("bob", "9")]
    groups = of(Mean(measure("sum", cap=Bound(percentile=50.0))), *events, experiment=split).groups
    assert groups[Group("dimension", "country", "AT")].by_variant["control"] == sample(1)


def test_m20_two_dimensions_are_crossed() -> None:
    split = replace(EXPERIMENT, dimensions={"country": "country", "paid": "plan.paid"}, cross=[("country", "paid")])
    events = [seen("ann", "control", country="DE", plan={"paid": True}), seen("bob", "control", country="DE")]
    groups = of(Mean(measure("sum")), *events, bought("ann", "3"), experiment=split).groups
    crossed = {group.value: part.by_variant["control"] for group, part in groups.items() if " × " in group.name}
    assert crossed == {'["DE","true"]': sample(3), '["DE",null]': sample(0)}


def test_m18_slices_add_up_to_the_whole() -> None:
    events = [
        *PEOPLE,
        bought("ann", "4", category="shoes"),
        bought("ann", "2", category="hats"),
        bought("bob", "1", category="hats"),
        bought("cat", "8"),
        bought("hal", "3", category="ties"),
    ]
    found = of(Mean(measure("sum", slice_by="metadata.category")), *events)
    assert {group.value: part.by_variant["control"] for group, part in found.groups.items()} == {
        "shoes": sample(4, 0, 0),
        "hats": sample(2, 1, 0),
        None: sample(0, 0, 8),
    }
    assert sum(part.by_variant["control"].total for part in found.groups.values()) == found.by_variant["control"].total


def test_m18_the_20_largest_slices_and_the_rest() -> None:
    events = [bought("ann", f"{number}", category=f"c{number:02}") for number in range(22)]
    events += [
        bought("ann", "again", category="c21"),
        bought("hal", "1", category="c20"),
        bought("hal", "2", category="c20"),
    ]
    groups = of(Mean(measure("count", slice_by="metadata.category")), *PEOPLE, *events).groups
    listed = {group.value for group in groups if not group.is_other}
    assert listed == {"c21", *[f"c{number:02}" for number in range(19)]}  # by events of compared variants, ties by text
    assert groups[Group("slice", "metadata.category", is_other=True)].by_variant["control"] == sample(2, 0, 0)


def test_m7_m8_conditions_and_windows_hold_in_every_measure() -> None:
    shoes = Events("buy", where=(Condition("metadata.category", "is", "shoes"),), end=2 * HOUR)
    events = [*PEOPLE, bought("ann", "4", category="shoes"), bought("ann", "2", category="hats")]
    found = of(Mean(Measure(shoes, "sum")), *events, bought("ann", "1", after=2 * HOUR, category="shoes"))
    assert found.by_variant["control"] == sample(4, 0, 0)
