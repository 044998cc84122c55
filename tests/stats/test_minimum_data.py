"""The floors under which nothing is inferred."""

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.stats.minimum_data import below_floor
from experiment_pipeline.stats.not_computable import NotComputable
from tests.stats.arms import TREATMENT


def test_floors__too_little_data__says_what_is_missing() -> None:
    def floor(
        control: VariantAggregate, aggregation: Aggregation = Aggregation.OCCURRENCE, nonzero: tuple[int, int] = (0, 0)
    ) -> NotComputable | None:
        return below_floor(
            control,
            TREATMENT,
            aggregation,
            nonzero=nonzero,
            minimum_identities=50,
            minimum_conversions=5,
            minimum_nonzero=100,
        )

    few, rare = VariantAggregate(49, 0.5, 10.0), VariantAggregate(1_000, 0.004, 3.984)
    assert floor(few) == NotComputable("below_minimum_identities")
    assert floor(rare) == NotComputable("below_minimum_conversions")
    assert floor(rare, Aggregation.COUNT, (100, 100)) is None
    for nonzero in ((99, 100), (100, 99)):
        assert floor(rare, Aggregation.COUNT, nonzero) == NotComputable("below_minimum_nonzero")
    assert floor(VariantAggregate(1_000, 0.005, 4.975)) is None
    assert floor(VariantAggregate(10**9, 1e300, 0.0)) is None, "a sum that is no float"
