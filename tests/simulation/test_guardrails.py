"""The errors of several guardrails add up, each well below its bound (rule C10)."""

import pytest

from tests.simulation.guardrails import false_rollbacks


@pytest.mark.slow
def test_false_rollbacks__of_several_guardrails__add_up_below_half_of_alpha_each__c10() -> None:
    found = false_rollbacks(1_500)
    assert 0.003 < found[1] < 0.025
    assert all(share < number * 0.025 for number, share in found.items())
    assert found[1] < found[3] < found[10]
