"""Aggregates are of exactly the identities that were first exposed, or nothing is published (rules M4, X5)."""

from collections.abc import Mapping

import pytest

from experiment_pipeline.domain.aggregates import MetricAggregates, VariantAggregate
from experiment_pipeline.domain.reconciliation import require_reconciled
from experiment_pipeline.errors import ContractBroken

EXPOSED = {"control": 100, "b": 90, "holdout": 7}
NAMES = {7: "bought"}


def arms(control: int, b: int) -> dict[str, VariantAggregate | None]:
    return {"control": VariantAggregate(control, 0.5, 20.0), "b": VariantAggregate(b, 0.5, 20.0)}


@pytest.mark.parametrize(
    "found",
    [
        MetricAggregates(7, arms(100, 90)),
        MetricAggregates(7, arms(60, 50), identities={"control": 100, "b": 90}),  # the others have no value
        MetricAggregates(7, arms(60, 50), not_mature={"control": 40, "b": 40}),
        MetricAggregates(7, arms(1, 1), identities={"control": 60, "b": 50}, not_mature={"control": 40, "b": 40}),
        MetricAggregates(7, {"control": None, "b": VariantAggregate(90, 0.5, 20.0)}),  # too large for a float
        MetricAggregates(7, {}),
    ],
)
def test_reconciled__of_the_same_identities__passes__x5(found: MetricAggregates) -> None:
    require_reconciled(EXPOSED, [found], NAMES)


@pytest.mark.parametrize("off", [-1, 1])
def test_reconciled__of_one_more_or_less__is_refused_with_both_numbers__x5(off: int) -> None:
    told = rf"bought has {90 + off} identities in b, and 90 were exposed\. Nothing was published"
    with pytest.raises(ContractBroken, match=told):
        require_reconciled(EXPOSED, [MetricAggregates(7, arms(100, 90 + off))], NAMES)


def test_reconciled__of_a_variant_that_nobody_saw__is_refused() -> None:
    exposed: Mapping[str, int] = {"control": 100}
    with pytest.raises(ContractBroken, match="bought has 90 identities in b, and 0 were exposed"):
        require_reconciled(exposed, [MetricAggregates(7, arms(100, 90))], NAMES)


def test_reconciled__of_many_differences__names_the_first() -> None:
    found = [MetricAggregates(number, arms(1, 1)) for number in range(8)]
    with pytest.raises(ContractBroken, match=r"metric 0 has 1 .*; and 11 more\."):
        require_reconciled(EXPOSED, found, NAMES)
