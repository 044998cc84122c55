"""Messages of definitions that are not valid."""

from experiment_pipeline.domain.definition_forms import FunnelForm, RatioForm
from experiment_pipeline.domain.definition_messages import chosen, explain, known_fields


def test_chosen__word_that_is_none__names_what_is_allowed_and_the_nearest() -> None:
    assert (
        chosen(("identity", "event"), "events") == "Must be 'identity' or 'event', got 'events'. Did you mean 'event'?"
    )
    assert chosen(("identity", "event"), None) == "Must be 'identity' or 'event', got nothing."
    assert chosen(("identity", "event"), None, missing=True) == "This field is required: 'identity' or 'event'."


def test_chosen__long_or_unprintable_value__is_shown_shortened_on_one_line() -> None:
    message = chosen(("a", "b"), "\x1b" + "x" * 100)
    assert message.startswith("Must be 'a' or 'b', got '\\x1bxx")
    assert len(message) < 100


def test_known_fields__at_any_depth__are_those_of_the_form_there() -> None:
    assert known_fields(RatioForm, ["numerator", "cap"]) == ["at", "percentile", "of_nonzero"]
    assert known_fields(FunnelForm, ["steps", "3"]) == ["event", "where"]
    assert known_fields(FunnelForm, ["nowhere", "3"]) == []


def test_explain__error_of_another_kind__keeps_its_own_words() -> None:
    errors = [{"type": "value_error", "loc": ("q",), "msg": "Value error, Must be odd.", "input": 2}]
    assert explain(errors, FunnelForm) == {"q": ["Must be odd."]}
