"""The contract of first exposures: one complete row per identity, exposed in the window (rules X1, X2)."""

from dataclasses import dataclass

from experiment_pipeline.errors import ContractBroken


@dataclass(frozen=True, slots=True)
class ExposureFaults:
    """Rows of first exposures that break the contract.

    Attributes:
        repeated: rows of an identity that has one already, or that are not in the order of the identities' hashes.
        incomplete: rows without identity, time, variant or mark of several variants.
        outside_window: rows whose first exposure lies before the start or at or after the as-of.
    """

    repeated: int = 0
    incomplete: int = 0
    outside_window: int = 0


def require_exposure_contract(faults: ExposureFaults) -> None:
    """Refuse first exposures that have faults.

    Raises:
        ContractBroken: says how many rows have which fault.
    """
    told = (
        (faults.repeated, "of an identity that comes twice or out of order"),
        (faults.incomplete, "without identity, time, variant or mark of several variants"),
        (faults.outside_window, "exposed outside the window"),
    )
    if found := [f"{rows:,} rows {what}" for rows, what in told if rows]:
        raise ContractBroken(
            f"First exposures break their contract: {'; '.join(found)}. Nothing was published; first exposures and "
            "payloads stay as they were. Refresh again; where it stays so, report it with these numbers."
        )
