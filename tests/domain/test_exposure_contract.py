"""First exposures with a fault are refused, and the fault is named with its rows (rules X1, X2, X5)."""

import pytest

from experiment_pipeline.domain.exposure_contract import ExposureFaults, require_exposure_contract
from experiment_pipeline.errors import ContractBroken


def test_contract__without_faults__is_kept() -> None:
    require_exposure_contract(ExposureFaults())


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (ExposureFaults(repeated=1), "1 rows of an identity that comes twice or out of order. Nothing"),
        (ExposureFaults(incomplete=1_200), "1,200 rows without identity, time, variant"),
        (ExposureFaults(outside_window=1), "1 rows exposed outside the window"),
        (ExposureFaults(2, 0, 3), "2 rows of an identity that comes twice or out of order; 3 rows exposed outside"),
    ],
)
def test_contract__with_faults__is_refused_by_fault_and_rows__x5(faults: ExposureFaults, told: str) -> None:
    with pytest.raises(ContractBroken, match=told):
        require_exposure_contract(faults)
