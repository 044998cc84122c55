"""Engines of warehouses keep the contract of the embedded one, over the same cases (rules N6, N10)."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.ibis.warehouse import IbisWarehouse
from experiment_pipeline.warehouse.limits import WarehouseLimits
from tests.warehouse.audience_contract import AudienceContract
from tests.warehouse.contract import STARTED_AT, Build, Event, WarehouseContract
from tests.warehouse.ibis.conftest import Row, Table
from tests.warehouse.measures_contract import MeasuresContract

BATCH_0 = datetime(2026, 6, 1, tzinfo=UTC)  # a row of batch n was loaded n microseconds later
VERSION_0 = int(BATCH_0.timestamp()) * 1_000_000


class Numbered:
    """A warehouse whose data versions are the numbers of batches, over the rows of one environment."""

    def __init__(self, warehouse: IbisWarehouse, environment_key: str) -> None:
        self._warehouse, self._environment_key = warehouse, environment_key

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._warehouse, name)

        def of_scope(scope: AnalysisScope, *arguments: Any, **options: Any) -> Any:
            version = VERSION_0 + scope.data_version
            given = replace(scope, data_version=version, environment_key=self._environment_key)
            return method(given, *arguments, **options)

        return of_scope


def difference(engine: str, case: str, given: Collection[object]) -> str | None:
    """Return why an engine is known to answer a case in another way (docs/engines.md); None where it must not."""
    match engine, case:
        case "postgres", "test_dimension__of_a_number__is_what_was_written__m15":
            return "a jsonb keeps the last of equal names, and numbers without an exponent"
        case "spark", "test_dimension__of_a_number__is_what_was_written__m15":
            return "its variant has no properties of an object with a name twice"
        case "clickhouse", "test_dimension__of_a_number__is_what_was_written__m15" if "1e400" in given:
            return "its JSON has no such number"
        case (
            "postgres",
            "test_sums__too_large_for_a_float__have_neither_mean_nor_m2"
            | "test_squares__too_large_for_a_float__have_no_m2",
        ):
            return "it refuses sums that are too large for a double"
        case "postgres", "test_names__of_any_text__are_values_and_nothing_else" if any("\0" in str(x) for x in given):
            return "its texts have no NUL"
    return None


@pytest.fixture
def build(table: Table, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Build]:
    case = request.node
    if (reason := difference(table.name, case.originalname, case.callspec.params.values())) is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    numbers, rows = count(), list[Row]()
    with ExitStack() as opened:

        def engine(*contents: Sequence[Event], threads: int = 2) -> Any:  # noqa: ARG001 - of the embedded one
            number = next(numbers)
            given = (event for events in contents for event in events)
            rows.extend(row_of(event, f"prod-{number}", at) for at, event in enumerate(given))
            table.replace_rows(rows)
            store = ArtifactStore(tmp_path / str(number))
            warehouse = IbisWarehouse.open(ConnectionUrl(table.url, "test"), store, WarehouseLimits())
            return Numbered(opened.enter_context(closing(warehouse)), f"prod-{number}")

        yield engine


def row_of(event: Event, environment_key: str, number: int) -> Row:
    """Return a row of the table: each event of a case is one of its own, whatever it is like (rule E4)."""
    return (
        *(environment_key, event.event, event.feature, str(event.identity), event.value, STARTED_AT + event.at),
        *(event.event_id or f"row {number}", event.traits, event.metadata),
        BATCH_0 + timedelta(microseconds=event.batch),
    )


class TestInPlace(WarehouseContract, MeasuresContract, AudienceContract):
    """Over a table of events."""


LEFT_OUT = {  # cases of the contract, and why they are not asked of a warehouse
    "what only the lake answers (rule N10: health inputs, preview, discovery)": (
        "test_field_types__of_exposures__are_those_of_the_flag_in_the_window_with_samples__m7",
        "test_field_types__of_other_events__are_of_that_name__m7",
        "test_property__of_several_types__is_counted_where_conditions_or_slices_read_it__m7",
        "test_event_ids__with_another_time_or_value__are_counted__e4",
        "test_event_ids__of_a_share_of_the_identities__are_those_of_the_smallest_hashes__e4",
        "test_event_timing__of_flag_and_metrics__counts_late_ones_and_those_before_the_exposure__e6_m2",
        "test_count_exposures__of_a_flag_and_a_window__counts_both_and_the_first_time",
        "test_exposed_variants__of_all_time__are_counted_by_identity_up_to_a_limit",
        "test_count_saw_another_variant__of_analysed_identities__in_an_earlier_window__x11",
        "test_first_exposure_counts__by_utc_day__have_everybody_under_either_policy__x3",
        "test_names__of_flags_and_events__come_with_their_numbers_up_to_a_limit",
    ),
    "sensitivity is not computed in place (rule N10)": (
        "test_sensitivity__has_the_analysis_of_the_other_policy_in_the_same_scan__x3",
        "test_sensitivity__of_a_variant_that_nobody_saw_alone__has_its_identities__x3",
        "test_sensitivity__of_a_cap__is_the_metric_without_it_and_with_that_of_the_other_policy__m10",
    ),
    "about the embedded engine's own statements, stored rows or hashes that a case makes up": (
        "test_metrics__of_one_event__share_its_scan",
        "test_frames__carry_the_sql_that_made_them",
        "test_stamp__is_what_the_stored_first_exposures_were_computed_from__r5",
        "test_dimension__of_exposures_at_one_time__is_that_of_the_smallest_hash_in_the_variant__m15",
    ),
    "exact to the last bit, over a hundred thousand rows: rule N10 asks for 1e-12": (
        "test_sums__of_very_many_small_values__do_not_gather_rounding_errors__m3",
    ),
}
REFUSED = {  # cases that ask for what is refused in place, and the words that the refusal names it by
    "test_dimensions__crossed__have_a_group_for_each_pair__m20": "crossed",
    "test_entry__starts_the_analysis_of_who_has_it__m19": "entry point",
    "test_entry__of_a_metric_with_a_pre_period__leaves_it_before_the_exposure__m11": "entry point",
    "test_audience__of_all_at_once__agrees": "entry point",
    "test_slices__of_a_property_of_the_events__add_up_to_the_whole__m18": "slice_by",
    "test_slices__of_many_values__are_the_twenty_of_most_events_and_others__m18": "slice_by",
}
for name in [*REFUSED, *(name for names in LEFT_OUT.values() for name in names)]:
    assert hasattr(TestInPlace, name), f"the contract has no case {name}"
    setattr(TestInPlace, name, None)


@pytest.mark.parametrize(("name", "told"), REFUSED.items())
def test_case__of_what_is_not_computed_in_place__is_refused_by_name__n10(name: str, told: str, build: Build) -> None:
    contract = type("Contract", (WarehouseContract, MeasuresContract, AudienceContract), {})()
    with pytest.raises(ConfigurationError, match=told):
        getattr(contract, name)(build)
