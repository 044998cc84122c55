"""Mappings given as texts for the columns of a file, and what is guessed of them."""

import pytest

from experiment_pipeline.domain.mapping_texts import GivenMapping, are_exposures, guessed_fields, mapping_of
from experiment_pipeline.domain.row_mapping import FieldSource, RowMapping, TimeUnit
from experiment_pipeline.errors import ConfigurationError

COLUMNS = ["user_id", "group", "assigned", "amount"]


def test_mapping__text_that_names_a_column__is_the_column_and_else_the_value() -> None:
    given = GivenMapping(
        {"feature": "button", "variant": "group", "identifier": "user_id", "timestamp": "assigned"},
        maps={"variant": {"0": "control"}},
        units={"timestamp": "s"},
    )
    assert mapping_of(given, COLUMNS) == RowMapping(
        identifier=FieldSource(column="user_id"),
        timestamp=FieldSource(column="assigned", unit=TimeUnit.SECONDS),
        feature=FieldSource(constant="button"),
        variant=FieldSource(column="group", map={"0": "control"}),
    )


def test_mapping__feature_that_is_also_a_column__is_the_column() -> None:
    given = GivenMapping({"feature": "group", "variant": "group", "identifier": "user_id", "timestamp": "assigned"})
    assert mapping_of(given, COLUMNS).feature == FieldSource(column="group")


def test_mapping__constant_time__is_that_of_every_row() -> None:
    given = GivenMapping({"event": "purchased", "identifier": "user_id", "timestamp": "2026-01-05T00:00:00Z"})
    assert mapping_of(given, COLUMNS).timestamp == FieldSource(constant="2026-01-05T00:00:00Z")


def test_mapping__properties__are_several_columns() -> None:
    given = GivenMapping(
        {"event": "purchased", "identifier": "user_id", "timestamp": "assigned", "metadata": "amount, group"}
    )
    assert mapping_of(given, COLUMNS).metadata == ("amount", "group")


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"evnt": "purchased"}, "as.evnt", "Unknown field: must be one of event, feature"),
        ({"event": "purchased", "timestamp": "assigned"}, "as.identifier", "Must be given: --as identifier=COLUMN"),
        ({"event": "a", "identifier": "user", "timestamp": "assigned"}, "as.identifier", "Did you mean 'user_id'"),
        ({"event": "a", "identifier": "user_id", "timestamp": "yesterday"}, "as.timestamp", "There is no column"),
        ({"identifier": "user_id", "timestamp": "assigned"}, "as.event", "Must be given: --as event=purchased"),
        (
            {"variant": "group", "identifier": "user_id", "timestamp": "assigned"},
            "as.feature",
            "Must be given: --as feature=button",
        ),
        (
            {"feature": "f", "variant": "group", "event": "a", "identifier": "user_id", "timestamp": "assigned"},
            "as.event",
            "An exposure has none",
        ),
    ],
)
def test_mapping__broken__names_the_field_and_what_is_allowed(fields: dict[str, str], field: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        mapping_of(GivenMapping(fields), COLUMNS)
    assert message in " ".join(refused.value.errors[field])


def test_mapping__map_of_a_value_and_unit_of_a_constant__are_refused() -> None:
    given = GivenMapping(
        {"event": "a", "identifier": "user_id", "timestamp": "assigned"}, maps={"variant": {"0": "control"}}
    )
    with pytest.raises(ConfigurationError, match="only the values of a column are mapped"):
        mapping_of(given, COLUMNS)


def test_guessed_fields__usual_names_in_any_spelling__are_found_and_given_ones_left_out() -> None:
    columns = ["User ID", "Variation", "exposedAt", "country"]
    assert guessed_fields([], columns, exposures=True) == {
        "variant": "Variation",
        "identifier": "User ID",
        "timestamp": "exposedAt",
    }
    assert "variant" not in guessed_fields(["variant"], columns, exposures=True)
    assert "variant" not in guessed_fields([], columns, exposures=False)


@pytest.mark.parametrize(("columns", "expected"), [(["arm", "id"], True), (["amount", "id"], False)])
def test_are_exposures__column_named_as_a_variant__tells(columns: list[str], expected: bool) -> None:
    assert are_exposures(columns) is expected
