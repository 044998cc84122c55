"""Types of a property, and the text that they are stored as."""

from experiment_pipeline.domain.field_types import FieldType, FieldTypes, stored_types, types_from_stored

PLAN = FieldTypes("purchase", "traits.plän", {FieldType.NUMBER: 3, FieldType.TEXT: 5})


def test_field_types__of_two_that_occur__are_mixed() -> None:
    assert PLAN.is_mixed
    assert not FieldTypes("purchase", "traits.plan", {FieldType.NUMBER: 3, FieldType.TEXT: 0}).is_mixed
    assert not FieldTypes("purchase", "traits.plan", {}).is_mixed


def test_field_types__stored_and_read__are_the_same() -> None:
    assert types_from_stored(stored_types([PLAN])) == (PLAN,)
    assert stored_types([]) is None
    assert types_from_stored(None) == ()
