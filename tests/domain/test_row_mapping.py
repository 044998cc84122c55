"""Row mappings as declared: their forms, and the rules between their fields."""

from typing import Any

import pytest

from experiment_pipeline.domain.fields import FieldErrors, adapter
from experiment_pipeline.domain.row_mapping import FieldSource, RowMapping, advice, check_columns, check_mapping

ORDERS = {"event": "purchased", "identifier": "user_id", "timestamp": "created_at", "value": "amount"}


def mapping(fields: dict[str, Any]) -> RowMapping:
    found: RowMapping = adapter(RowMapping).validate_python(fields)
    return found


def test_mapping__plain_text__is_a_value_for_names_and_a_column_for_the_rest() -> None:
    found = mapping(ORDERS)
    assert (found.event, found.identifier) == (FieldSource(constant="purchased"), FieldSource(column="user_id"))
    assert not found.is_exposure
    assert list(found.required()) == [("identifier", "user_id"), ("timestamp", "created_at")]


def test_mapping__exposure__reads_the_columns_of_its_fields_and_traits() -> None:
    variant = {"column": "variation", "map": {"0": "control"}}
    found = mapping({"feature": {"column": "test"}, "variant": variant, "identifier": "u", "timestamp": "t"})
    assert found.is_exposure
    assert [column for _, column in found.columns()] == ["test", "variation", "u", "t"]


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"event": None}, "as.event", "A metric event must have a name"),
        ({"variant": "v"}, "as.feature", "An exposure must have the flag it is of."),
        ({"variant": "v", "feature": "f"}, "as.value", "An exposure has none"),
        ({"identifier": {"column": "a", "constant": "b"}}, "as.identifier", "Must be a column's name"),
        ({"identifier": {}}, "as.identifier", "Must be a column's name"),
        ({"value": {"constant": "1", "map": {"1": "2"}}}, "as.value.map", "Only the values of a column"),
        ({"value": {"column": "a", "unit": "s"}}, "as.value.unit", "Only a column of timestamps"),
    ],
)
def test_check_mapping__fields_that_do_not_fit__are_named(change: dict[str, Any], field: str, message: str) -> None:
    errors = FieldErrors()
    check_mapping(errors, mapping({key: value for key, value in (ORDERS | change).items() if value is not None}))
    assert message in " ".join(errors.errors[field])


def test_check_columns__that_are_not_there__are_named_with_those_that_are_near() -> None:
    columns = dict.fromkeys(["userid", "created_at", "total"])
    assert check_columns(mapping(ORDERS), columns) == {
        "as.identifier": ["There is no column 'user_id'. Did you mean 'userid'?"],
        "as.value": ["There is no column 'amount'. The columns are 'userid', 'created_at', 'total'."],
    }


def test_advice__column_that_is_like_none__names_those_that_there_are() -> None:
    assert advice("country", {"amount": None, "user": None}) == " The columns are 'amount', 'user'."
    assert advice("usr", {"amount": None, "user_id": None}) == " Did you mean 'user_id'?"
