"""Analysis where events lie, on real engines, against the plain-Python reference (rules N6, N9, N10)."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.experiments import MultipleExposures
from experiment_pipeline.domain.measures import Aggregation, Condition, Events, Measure, Operator
from experiment_pipeline.domain.metrics import Funnel, Mean, Metric, Quantile
from experiment_pipeline.errors import ConfigurationError, SourceUnreachable
from experiment_pipeline.warehouse.frame_schemas import metric_aggregates, validated
from experiment_pipeline.warehouse.ibis.capabilities import refused_of_metric
from experiment_pipeline.warehouse.ibis.dialects import DIALECTS
from experiment_pipeline.warehouse.ibis.in_place import InPlaceAnalysis, aggregate_statements, open_engine
from experiment_pipeline.warehouse.limits import DEFAULT_LIMITS, WarehouseLimits
from tests.metric_strategies import measured_scenarios
from tests.properties.test_measures_against_reference import Comparison
from tests.properties.translated import experiment_of
from tests.reference import aggregates as reference
from tests.reference.events import Event as ReferenceEvent
from tests.reference.events import JsonNumber
from tests.reference.exposures import analysed, exposures_payload, first_exposures, remaining
from tests.reference.visible import visible_events
from tests.strategies import Scenario
from tests.warehouse.contract import DAY, HOUR, LENGTH, MILLISECOND, STARTED_AT, exact_moments, metric, near, scope
from tests.warehouse.ibis.conftest import LOADED_AT, Row, Table

VERSION = int(LOADED_AT.timestamp() * 1_000_000)
SCOPE = scope(data_version=VERSION)


def seen(identifier: str, variant: str | None, at: timedelta = HOUR, feature: str | None = "checkout") -> Row:
    return ("prod", "$flag_exposure", feature, identifier, variant, STARTED_AT + at, None, None, None, LOADED_AT)


def did(identifier: str, value: str | None, at: timedelta = 2 * HOUR, event_id: str | None = None) -> Row:
    return ("prod", "purchase", None, identifier, value, STARTED_AT + at, event_id, None, None, LOADED_AT)


@contextmanager
def analysis(table: Table, rows: Iterable[Row], limits: WarehouseLimits = DEFAULT_LIMITS) -> Iterator[InPlaceAnalysis]:
    table.replace_rows(rows)
    engine = open_engine(ConnectionUrl(table.url, "test"), limits)
    try:
        yield InPlaceAnalysis(engine, limits)
    finally:
        engine.close()


def moments(table: Table, rows: Iterable[Row], *metrics: Metric) -> dict[tuple[int, str], dict[str, Any]]:
    with analysis(table, rows) as in_place:
        frame = validated("variant_aggregates", in_place.variant_aggregates(SCOPE, metrics).rows)
    return {(row["metric_id"], row["variant"]): row for row in frame.to_dicts()}


def moments_of_parts(table: Table, rows: Iterable[Row], funnel: Metric) -> dict[str | None, float]:
    """How many identities of the one variant reach each step, and the last one."""
    with analysis(table, rows) as in_place:
        frame = validated("variant_aggregates", in_place.variant_aggregates(SCOPE, (funnel,)).rows)
    return {row["name"]: row["n"] * row["mean"] for row in frame.to_dicts()}


def test_window__starts_at_its_start_and_ends_before_as_of__x1(table: Table) -> None:
    rows = [seen("1", "early", -MILLISECOND), seen("2", "at the start", timedelta(0)), seen("4", "at as-of", LENGTH)]
    with analysis(table, [*rows, seen("3", "just in time", LENGTH - MILLISECOND)]) as in_place:
        assert in_place.variant_identities(SCOPE) == {"at the start": 1, "just in time": 1}


def test_first_exposure__at_equal_times__is_the_smallest_variant_by_bytes__x2_n9(table: Table) -> None:
    rows = [seen("1", variant) for variant in ("b", "Z", "ä")] + [seen("2", "late", DAY), seen("2", "z", HOUR)]
    first = replace(SCOPE, multiple_exposures=MultipleExposures.FIRST)
    with analysis(table, rows) as in_place:
        assert in_place.variant_identities(first) == {"Z": 1, "z": 1}
        assert in_place.variant_identities(SCOPE) == {}
        assert [row["new_identities"] for row in in_place.exposure_buckets(SCOPE).rows.to_dicts()] == [1, 1]


def test_rows__that_break_the_contract__are_left_out__e1_e3(table: Table) -> None:
    left_out = [seen("", "a"), seen("1", ""), seen("2", None), seen("3", "a", feature=""), seen("x" * 2001, "a")]
    too_late = ("prod", "$flag_exposure", "checkout", "5", "a", STARTED_AT + HOUR, None, None, None, STARTED_AT - DAY)
    another = ("test", "$flag_exposure", "checkout", "6", "a", STARTED_AT + HOUR, None, None, None, LOADED_AT)
    with analysis(table, [*left_out, too_late, another, seen("x" * 2000, "a"), seen("ü" * 2000, "a")]) as in_place:
        assert in_place.variant_identities(SCOPE) == {"a": 2}


def test_rows__loaded_after_the_data_version__are_not_read__n4(table: Table) -> None:
    late = (*seen("2", "a")[:-1], LOADED_AT + MILLISECOND)
    with analysis(table, [seen("1", "a"), late]) as in_place:
        assert in_place.variant_identities(SCOPE) == {"a": 1}
        settling = LOADED_AT + timedelta(minutes=5)
        assert in_place.newest_version("prod", settling) == VERSION
        assert in_place.newest_version("prod", settling - MILLISECOND) == 0
        assert in_place.newest_version("prod", settling + MILLISECOND) == VERSION + 1000


def test_aggregations__of_one_event__are_what_m3_says_over_everybody__m4(table: Table) -> None:
    values = [("1", "3"), ("1", "5"), ("1", None), ("2", None), ("3", "-2")]
    rows = [seen(who, "b") for who in "1234"] + [
        did(who, value, event_id=str(n)) for n, (who, value) in enumerate(values)
    ]
    wanted: dict[Aggregation, tuple[float, ...]] = {
        Aggregation.OCCURRENCE: (1, 1, 1, 0),
        Aggregation.COUNT: (3, 1, 1, 0),
        Aggregation.SUM: (8, 0, -2, 0),
        Aggregation.MEAN: (4, 0, -2, 0),
        Aggregation.MIN: (3, 0, -2, 0),
        Aggregation.MAX: (5, 0, -2, 0),
        Aggregation.FIRST: (3, 0, -2, 0),
        Aggregation.LAST: (5, 0, -2, 0),
        Aggregation.DAYS: (1, 1, 1, 0),
        Aggregation.WEEKS: (1, 1, 1, 0),
        Aggregation.DISTINCT: (2, 0, 1, 0),
    }
    assert wanted.keys() == set(Aggregation)
    found = moments(table, rows, *(metric(number, kind) for number, kind in enumerate(wanted, start=1)))
    for number, (kind, of_identities) in enumerate(wanted.items(), start=1):
        row = found[number, "b"]
        assert (row["n"], row["mean"], row["m2"]) == near(exact_moments(of_identities)), kind
        assert row["invalid_values"] == (2 if kind.reads_numbers else 0), kind
        assert row["with_value"] == (2 if kind.may_lack_value else 4), kind
        assert row["largest"] == max(of_identities), kind


HARD_VALUES = {
    "1e400": None,
    "-1e400": None,
    "1e-400": 0.0,
    "": None,
    " 1": None,
    "1\n": None,
    "NaN": None,
    "inf": None,
    "٣": None,
    "1_0": None,
    ".5": 0.5,
    "5.": 5.0,
    "+3": 3.0,
    "1E2": 100.0,
    "0x1A": None,
    "1e999999": None,
    "1e-999999": 0.0,
    "0e999999": 0.0,
}


def test_values__that_are_hard_to_cast__are_what_e5_says__n9(table: Table) -> None:
    of_variant = {f"v{number}": value for number, value in enumerate(HARD_VALUES)}
    rows = [row for variant, value in of_variant.items() for row in (seen(variant, variant), did(variant, value))]
    found = moments(table, rows, metric(1, Aggregation.SUM))
    for variant, value in of_variant.items():
        row, number = found[1, variant], HARD_VALUES[value]
        assert (row["mean"], row["invalid_values"]) == (number or 0.0, number is None), value


def test_funnel__of_different_events_at_one_time__takes_them_in_any_order__m14(table: Table) -> None:
    """One event can be steps 1 and 2, another one 1 and 3, and the third one step 2 alone: all three are a chain."""
    steps = tuple(
        Events("purchase", (Condition("value", Operator.IN, values),)) for values in (("x", "y"), ("x", "z"), ("y",))
    )
    funnel = Metric(1, "prod", "steps", Funnel(steps))
    rows = [row for who in "12" for row in (seen(who, "b"), did(who, "x"), did(who, "y"))]
    frame = moments_of_parts(table, [*rows, did("1", "z")], funnel)
    assert frame == {None: 1, "1": 2, "2": 2, "3": 1}


def test_events__that_are_delivered_again__count_once__e4(table: Table) -> None:
    again = (*did("1", "3")[:-1], LOADED_AT - DAY)
    rows = [seen("1", "b"), did("1", "3"), did("1", "3"), again, did("1", "3", event_id="A"), did("1", "3.0")]
    assert moments(table, rows, metric(1, Aggregation.COUNT))[1, "b"]["mean"] == 3


def test_quantile__beside_a_metric_of_other_events__counts_identities_without_its_own_as_zeros__m12(
    table: Table,
) -> None:
    """Seven of ten have another event, three one of the quantile's: the seventh smallest of ten numbers is 0."""
    visits = Metric(2, "prod", "visits", Mean(Measure(Events("visit"), Aggregation.COUNT)))
    sums = [Metric(n, "prod", str(n), Quantile(q, Measure(Events("purchase"), Aggregation.SUM))) for n, q in QS.items()]
    rows = [seen(who, "b") for who in "0123456789"] + [did(who, who) for who in "123"] + [did("0", "-4")]
    rows += [(*did(who, "1")[:1], "visit", *did(who, "1")[2:]) for who in "3456789"]
    found = moments(table, rows, visits, *sums)
    assert {number: found[number, "b"]["quantile"] for number in QS} == {3: -4, 4: 0, 5: 1, 6: 3}


QS = {3: 0.1, 4: 0.7, 5: 0.8, 6: 0.99}


def test_rows__that_are_declared_unique__are_not_deduplicated_and_a_sample_is_checked__n2(table: Table) -> None:
    rows = [seen("1", "b"), did("1", "3", event_id="A"), did("1", "3", event_id="B")]
    count, limits = (metric(1, Aggregation.COUNT),), WarehouseLimits(unique_rows=True)
    assert "DISTINCT" not in aggregate_statements(DIALECTS[table.name], SCOPE, count, unique_rows=True)["moments"]
    with analysis(table, rows, limits) as in_place:
        assert list(in_place.variant_aggregates(SCOPE, count).rows["mean"]) == [2]
    last_day = did("1", "3", SCOPE.window.as_of - STARTED_AT - HOUR)
    with (
        analysis(table, [*rows, last_day, last_day], limits) as in_place,
        pytest.raises(ConfigurationError, match=r"of 2 rows of the last day 1 are of events that have another one"),
    ):
        in_place.variant_aggregates(SCOPE, count)


def test_distinct_values__of_many__are_counted_exactly__n9(table: Table) -> None:
    rows = [seen("1", "b"), *(did("1", str(number)) for number in range(70_000))]
    assert moments(table, rows, metric(1, Aggregation.DISTINCT))[1, "b"]["mean"] == 70_000


def test_moments__of_values_far_from_0__keep_their_digits__n10(table: Table) -> None:
    values = [1e9 + number / 8 for number in range(40)]
    rows = [row for who, value in enumerate(values) for row in (seen(str(who), "b"), did(str(who), repr(value)))]
    row = moments(table, rows, metric(1, Aggregation.SUM))[1, "b"]
    assert (row["n"], row["mean"], row["m2"]) == near(exact_moments(values))


def test_moments__too_large_for_a_double__are_withheld_or_refused__n10(table: Table) -> None:
    rows = [row for who in "123" for row in (seen(who, "b"), did(who, f"{who}e307"), did(who, f"-{who}e300"))]
    if table.name == "postgres":
        with pytest.raises(ConfigurationError, match="too large for a double"):
            moments(table, rows, metric(1, Aggregation.SUM))
    else:
        assert moments(table, rows, metric(1, Aggregation.SUM))[1, "b"]["m2"] is None


def test_identifiers__with_quotes_and_comments__are_texts(table: Table) -> None:
    hard = "o'b\\n\"; drop table events --"
    asked = replace(SCOPE, feature=hard)
    with analysis(table, [seen(hard, hard, feature=hard)]) as in_place:
        assert in_place.variant_identities(asked) == {hard: 1}
        assert in_place.variant_identities(replace(asked, variants=(hard,))) == {hard: 1}


def rows_of(events: Iterable[ReferenceEvent]) -> Iterator[Row]:
    """The events, some of them delivered again later, with properties that the first delivery did not have."""
    for number, event in enumerate(sorted(events, key=lambda each: each.hash)):
        row = (
            event.environment_key, event.event, event.feature_name, event.identifier, event.value, event.timestamp,
            event.event_id or None, written(event.traits), written(event.metadata),
        )  # fmt: skip
        yield (*row, LOADED_AT - MILLISECOND)
        if number % 2:
            yield (*row[:-2], '{"country": "DE"}', '{"country": 5}', LOADED_AT)


def written(content: Any) -> str | None:
    """JSON, numbers as they are."""
    if isinstance(content, JsonNumber):
        return str(content)
    if isinstance(content, dict):
        members = (f"{json.dumps(name)}: {written(each) or 'null'}" for name, each in content.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(content, list):
        return f"[{', '.join(written(each) or 'null' for each in content)}]"
    return None if content is None else json.dumps(content)


def stored(content: Any) -> Any:
    """The same with numbers as `jsonb` has them: without an exponent."""
    if isinstance(content, JsonNumber):
        return JsonNumber(f"{abs(Decimal(content)) if Decimal(content) == 0 else Decimal(content):f}")
    if isinstance(content, dict):
        return {name: stored(each) for name, each in content.items()}
    return [stored(each) for each in content] if isinstance(content, list) else content


def visible(scenario: Scenario, table: Table) -> set[ReferenceEvent]:
    events = visible_events(scenario.batches, scenario.experiment.data_version)
    if table.keeps_numbers:
        return events
    return {replace(each, traits=stored(each.traits), metadata=stored(each.metadata)) for each in events}


@given(scenario=measured_scenarios(20))
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
def test_aggregates__over_random_events__equal_the_reference__n10(table: Table, scenario: Scenario) -> None:
    asked = replace(scenario.experiment, cross=(), entry=None)
    described = {each.id: each for each in asked.metrics}
    experiment, of_run = experiment_of(asked)
    of_run = replace(of_run, data_version=VERSION)
    metrics = tuple(each.metric for each in experiment.metrics if not list(refused_of_metric(each.metric)))
    events = visible(scenario, table)
    with analysis(table, rows_of(events)) as in_place:
        rows = validated("variant_aggregates", in_place.variant_aggregates(of_run, metrics).rows)
        identities = in_place.variant_identities(of_run)
        buckets = validated("exposure_buckets", in_place.exposure_buckets(of_run).rows)
    firsts = first_exposures(events, asked)
    people = analysed(events, firsts, asked).values()
    assert identities == Counter(who.first.variant for who in people)
    of_audience = remaining({who: replace(first, excluded=False) for who, first in firsts.items()}, asked)
    wanted = exposures_payload({who: firsts[who] for who in of_audience}, asked)
    assert sum(buckets.filter("quarantined")["new_identities"]) == wanted["excluded_identities"]
    found = {each.metric_id: each for each in metric_aggregates(rows)}
    variants = [key for key in asked.compared_keys if key in identities]
    for one in metrics:
        expected = reference.aggregate(described[one.id], events, firsts, asked)
        ours = found.get(one.id, MetricAggregates(one.id, {}))
        Comparison(described[one.id], variants).whole(ours, expected)


def test_table__that_is_not_there__says_what_to_do__n7(table: Table) -> None:
    engine = open_engine(ConnectionUrl(table.url, "test"), DEFAULT_LIMITS)
    try:
        with pytest.raises(ConfigurationError, match="warehouse init"):
            engine.run("select 1 from no_such_table")
    finally:
        engine.close()


def test_connection__writes_nothing__n3(table: Table) -> None:
    with analysis(table, [seen("1", "a")]) as in_place:
        with pytest.raises(ConfigurationError, match=r"(?i)read-?only"):
            in_place.engine.run("truncate table events")
        assert in_place.variant_identities(SCOPE) == {"a": 1}


@pytest.mark.parametrize("scheme", ["postgresql", "clickhouse"])
def test_server__that_does_not_answer__is_unreachable_and_no_secret_is_told__n7(scheme: str) -> None:
    url = ConnectionUrl(f"{scheme}://reader:hunter2@127.0.0.1:1/shop", "shop")
    with pytest.raises(SourceUnreachable) as raised:
        open_engine(url, DEFAULT_LIMITS)
    assert "hunter2" not in str(raised.value)
    assert "connections.shop" in str(raised.value)


def test_statement__that_takes_too_long__is_ended__n7(postgres_url: str) -> None:
    engine = open_engine(ConnectionUrl(postgres_url, "test"), WarehouseLimits(timeout=timedelta(milliseconds=50)))
    try:
        with pytest.raises(ConfigurationError, match="--timeout"):
            engine.run("select pg_sleep(60)")
    finally:
        engine.close()


def test_scheme__of_no_engine__is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"clickhouse://, chdb://, postgresql://, spark\+local://"):
        open_engine(ConnectionUrl("mysql://host/shop", "shop"), DEFAULT_LIMITS)
