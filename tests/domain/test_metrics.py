"""The nouns of a metric (rule M1)."""

from experiment_pipeline.domain.metrics import ExpectedDirection


def test_expected_direction__that_something_must_not_do__makes_a_guardrail__m1() -> None:
    assert [each for each in ExpectedDirection if each.is_guardrail] == [
        ExpectedDirection.NOT_INCREASE,
        ExpectedDirection.NOT_DECREASE,
    ]
