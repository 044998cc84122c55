"""Power requests are checked field by field."""

from typing import Any

import pytest

from experiment_pipeline.domain.power_request import PowerRequest
from experiment_pipeline.errors import ConfigurationError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mde", 0), ("mde", 20), ("traffic", 0), ("traffic", float("inf")), ("alpha", 0.5), ("power", 1),
        ("variants", 1), ("variants", 21),
    ],
)  # fmt: skip
def test_request__field_out_of_range__is_named(field: str, value: float) -> None:
    sent: dict[str, Any] = {"metric": "revenue", field: value}
    with pytest.raises(ConfigurationError) as refused:
        PowerRequest(**sent).check()
    assert list(refused.value.errors) == [field]


def test_request__power_below_alpha__is_refused() -> None:
    with pytest.raises(ConfigurationError, match="power: Must be greater than alpha"):
        PowerRequest("revenue", alpha=0.3, power=0.2).check()


def test_request__within_the_ranges__is_accepted() -> None:
    PowerRequest("revenue", mde=0.05, traffic=1000, variants=20).check()
    assert PowerRequest(1, variants=4).treatments == 3
