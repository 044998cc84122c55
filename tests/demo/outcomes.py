"""What an analysis should see of a draw: one number per identity and metric, over its arrays (rules M2, M3)."""

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.demo.simulation import (
    PAGE_VIEWED,
    PURCHASED,
    SUPPORT_CONTACTED,
    Behaviour,
    Draw,
    Simulation,
    Stream,
    epoch_ms,
)

DAY_MS = 24 * 60 * 60 * 1000
METRICS = tuple(Behaviour().means())
Values = NDArray[np.float64]


def attributed(simulation: Simulation, outcome: Draw, stream: Stream) -> Stream:
    """The events of the window after the first exposure (rule M2)."""
    after = stream.timestamp - outcome.exposed_at[stream.identity]
    counts = (after >= 0) & (stream.timestamp < epoch_ms(simulation.ends_at))
    return Stream(stream.identity[counts], after[counts], stream.value[counts])


def per_identity(simulation: Simulation, outcome: Draw) -> dict[str, Values]:
    """Rule M3 over the arrays of a draw."""
    pages, purchases, contacts = (
        attributed(simulation, outcome, outcome.streams[event]) for event in (PAGE_VIEWED, PURCHASED, SUPPORT_CONTACTED)
    )

    def total(stream: Stream, weights: Values | None = None) -> Values:
        return np.bincount(stream.identity, weights, minlength=simulation.identities).astype(np.float64)

    on_first_day = (purchases.timestamp < DAY_MS).astype(np.float64)
    return {
        "purchase_rate": np.minimum(total(purchases), 1),
        "purchase_rate_first_day": np.minimum(total(purchases, on_first_day), 1),
        "revenue": total(purchases, purchases.value),
        "pages_viewed": total(pages),
        "load_time": total(pages, pages.value) / total(pages),
        "support_contacts": total(contacts),
    }
