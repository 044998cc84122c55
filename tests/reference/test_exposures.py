"""Rules X1-X7, M19 and M23 on a handful of identities."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.reference.events import EXPOSURE, Event
from tests.reference.exposures import (
    Analysed,
    Experiment,
    FirstExposure,
    Variant,
    analysed,
    exposures_payload,
    first_exposures,
    remaining,
    saw_another_variant,
)
from tests.reference.metrics import Condition, Events

START = datetime(2026, 3, 1, tzinfo=UTC)
EXPERIMENT = Experiment(
    environment_key="demo",
    feature="checkout",
    variants=[Variant("control", "control"), Variant("b", "treatment", 50)],
    metrics=[],
    started_at=START,
    as_of=START + timedelta(hours=72),
    data_version=1,
)


def seen(identifier: str, variant: str, after: timedelta = timedelta(0), feature: str = "checkout") -> Event:
    """An exposure some time after the start."""
    return Event("demo", EXPOSURE, feature, identifier, variant, START + after, "")


def changed(**fields: Any) -> Experiment:
    """The experiment with some fields changed."""
    return Experiment(**(vars(EXPERIMENT) | fields))


def test_x1_the_window_is_half_open() -> None:
    tick = timedelta(milliseconds=1)
    events = [
        seen("before", "b", -tick),
        seen("at_start", "b"),
        seen("last", "b", timedelta(hours=72) - tick),
        seen("at_end", "b", timedelta(hours=72)),
        seen("elsewhere", "b", feature="banner"),
    ]
    assert set(first_exposures(events, EXPERIMENT)) == {"at_start", "last"}


def test_x2_the_earliest_exposure_counts_and_the_smallest_key_breaks_ties() -> None:
    events = [seen("ann", "control", timedelta(hours=1)), seen("ann", "b", timedelta(hours=1)), seen("ann", "b")]
    firsts = first_exposures(events[:2], changed(multiple_exposures="first"))
    assert firsts == {"ann": FirstExposure(START + timedelta(hours=1), "b", excluded=False)}
    firsts = first_exposures(events, changed(multiple_exposures="first"))
    assert firsts["ann"].at == START


def test_x3_several_variants_exclude_unknown_ones_too() -> None:
    events = [seen("ann", "b"), seen("ann", "never heard of", timedelta(hours=1)), seen("bob", "b"), seen("bob", "b")]
    payload = exposures_payload(first_exposures(events, EXPERIMENT), EXPERIMENT)
    assert payload["excluded_identities"] == 1
    assert payload["timeseries"]["points"] == [{"bucket": "2026-03-01T00:00:00Z", "new_identities": {"b": 1}}]


def test_x3_an_exposure_outside_the_window_excludes_nobody() -> None:
    events = [seen("ann", "b"), seen("ann", "control", timedelta(hours=-1))]
    assert not first_exposures(events, EXPERIMENT)["ann"].excluded


def test_x4_x7_points_are_sparse_sorted_and_hourly_up_to_72_hours() -> None:
    events = [
        seen("ann", "b", timedelta(hours=26, minutes=59)),
        seen("bob", "control", timedelta(minutes=1)),
        seen("cat", "z", timedelta(minutes=2)),
    ]
    hourly = exposures_payload(first_exposures(events, EXPERIMENT), EXPERIMENT)
    assert hourly["timeseries"] == {
        "granularity": "hour",
        "points": [
            {"bucket": "2026-03-01T00:00:00Z", "new_identities": {"control": 1, "z": 1}},
            {"bucket": "2026-03-02T02:00:00Z", "new_identities": {"b": 1}},
        ],
    }
    longer = changed(as_of=START + timedelta(hours=72, milliseconds=1))
    daily = exposures_payload(first_exposures(events, longer), longer)
    assert daily["timeseries"]["granularity"] == "day"
    assert [point["bucket"] for point in daily["timeseries"]["points"]] == [
        "2026-03-01T00:00:00Z",
        "2026-03-02T00:00:00Z",
    ]


def test_m23_only_who_meets_the_conditions_on_the_first_exposure_remains() -> None:
    german = changed(only=(Condition("traits.country", "is", "DE"),), exclude_identifiers=["eve"])
    events = [
        replace(seen("ann", "b"), traits={"country": "DE"}),
        replace(seen("ann", "b", timedelta(hours=1)), traits={"country": "AT"}),
        replace(seen("bob", "b"), traits={"country": "AT"}),
        replace(seen("bob", "b", timedelta(hours=1)), traits={"country": "DE"}),
        replace(seen("eve", "b"), traits={"country": "DE"}),
        seen("dan", "control"),
    ]
    assert set(remaining(first_exposures(events, german), german)) == {"ann"}
    assert set(remaining(first_exposures(events, EXPERIMENT), EXPERIMENT)) == {"ann", "bob", "eve", "dan"}


def test_m19_an_identity_is_analysed_from_its_first_event_of_entry_on() -> None:
    hour = timedelta(hours=1)
    entering = changed(entry=Events("page", (Condition("value", "is", "cart"),)))

    def page(who: str, value: str, after: timedelta) -> Event:
        return Event("demo", "page", None, who, value, START + after, "")

    events = [
        *(seen("ann", "b", hour), page("ann", "cart", timedelta(0)), page("ann", "home", hour)),
        *(page("ann", "cart", 3 * hour), page("ann", "cart", 2 * hour)),
        *(seen("bob", "b"), page("bob", "cart", timedelta(0))),
        *(seen("cat", "b"), page("cat", "home", hour)),
        *(seen("dan", "b"), page("dan", "cart", timedelta(hours=72))),  # at the as-of
    ]
    firsts = first_exposures(events, entering)
    assert analysed(events, firsts, entering) == {
        "ann": Analysed(firsts["ann"], START + 2 * hour),
        "bob": Analysed(firsts["bob"], START),
    }
    assert set(analysed(events, firsts, EXPERIMENT)) == {"ann", "bob", "cat", "dan"}


def test_x11_who_saw_another_variant_in_an_earlier_phase() -> None:
    hour = timedelta(hours=1)
    second = changed(
        started_at=START + 2 * hour, earlier_phases=[(START, START + hour), (START + hour, START + 2 * hour)]
    )
    events = [
        *(seen("same", "b", after) for after in (0 * hour, 3 * hour)),
        *(seen("other", variant, after) for variant, after in (("control", 0 * hour), ("b", 3 * hour))),
        *(seen("both", variant, after) for variant, after in (("b", hour), ("c", hour), ("b", 3 * hour))),
        *(seen("before", variant, after) for variant, after in (("control", -hour), ("b", 3 * hour))),
        seen("gone", "control"),
        *(seen("quarantined", variant, 3 * hour) for variant in ("control", "b")),
    ]
    firsts = first_exposures(events, second)
    assert set(firsts) == {"same", "other", "both", "before", "quarantined"}
    assert saw_another_variant(events, firsts, second) == 2
    assert second.phase == 3
