"""The shop's own asset."""

import dagster as dg


@dg.asset
def orders() -> dict[str, float]:
    """Return the value of each order."""
    return {"A-1": 12.5}
