"""The nouns of a measure (rules M6, M7)."""

from experiment_pipeline.domain.measures import Condition, Operator


def test_condition__same_number_written_differently__is_the_same__m7() -> None:
    one, other = (Condition("value", Operator.IS, number) for number in (1, 1.0))
    assert one == other
    assert len({one, other}) == 1


def test_condition__true_instead_of_1__is_another_one__m7() -> None:
    for number, truth in ((1, True), ((0, "a"), (False, "a"))):
        one, other = (Condition("value", Operator.IS, operand) for operand in (number, truth))
        assert one != other
        assert len({one, other}) == 2


def test_condition__one_scalar__is_not_a_list_of_it__m7() -> None:
    assert Condition("value", Operator.IS, "a") != Condition("value", Operator.IN, "a")
    assert Condition("value", Operator.IN, "a") != Condition("value", Operator.IN, ("a",))
