"""Names of fields that nobody reads, and what is probably meant by them."""

import pytest

from experiment_pipeline.domain.unknown_fields import (
    NAMES_KEPT,
    UnknownFields,
    count_unknown,
    likely_field,
    unknown_in,
)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Event", "event"),
        ("eventId", "event_id"),
        ("time_stamp", "timestamp"),
        ("identifer", "identifier"),
        ("Feature Name", "feature_name"),
        ("VALUE", "value"),
        ("revenue", None),
        ("user_id", None),
        ("", None),
    ],
)
def test_likely_field__of_a_name__is_the_near_one_or_none(name: str, field: str | None) -> None:
    assert likely_field(name) == field


def test_unknown_in__a_record__names_what_rule_e1_does_not_know() -> None:
    assert unknown_in({"event": "a", "Value": 1, "traits": {"plan": 1}, "x" * 300: 1}) == ["Value", "x" * 200]
    assert unknown_in(["a"]) == []
    assert unknown_in({"\ud800": 1}) == ["?"]


def test_unknown_fields__of_two_batches__keep_the_most_frequent_and_count_the_rest() -> None:
    first = UnknownFields(2, {"a": 5, "b": 1})
    assert first + UnknownFields(1, {"a": 2}) == UnknownFields(2, {"a": 7, "b": 1})
    many = UnknownFields(NAMES_KEPT, {f"f{number:02}": 3 for number in range(NAMES_KEPT)})
    both = first + many
    assert (both.count, len(both.records), both.unnamed) == (NAMES_KEPT + 2, NAMES_KEPT, 2)
    assert "b" not in both.records


def test_count_unknown__of_records__counts_the_first_names_and_passes_over_what_is_no_record() -> None:
    records = [{"event": "a", "revenue": 1}, {"revenue": 2, "Event": "a"}, {"event": "a"}, 7, None]
    assert count_unknown(records) == UnknownFields(2, {"revenue": 2, "Event": 1})
    many = count_unknown([{f"name-{number:05}": 1 for number in range(5_000)}] * 2)
    assert (many.count, len(many.records), many.records["name-00000"]) == (1_000, NAMES_KEPT, 2)
