"""Kept aggregates: the rows of the last refresh, which are those of the next one where nothing has entered the scope.

Everything that the rows depend on is named: what was asked, the first exposures, and the events of the lake, of which
the generation that they are kept in names what it has seen. So a refresh with nothing new computes nothing (rule I1).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from experiment_pipeline.warehouse.duckdb.metric_aggregation import Row


@dataclass(frozen=True, slots=True)
class Asked:
    """The things that aggregates are computed of, beside events.

    Attributes:
        question: digest of the metrics, and of how they are aggregated.
        exposures: digest of the first exposures (`rows_digest`).
    """

    question: str
    exposures: str


NOTHING_ASKED = Asked("", "")  # of a refresh that is only planned


@dataclass(frozen=True, slots=True)
class KeptAggregates:
    """The rows of one refresh.

    Attributes:
        asked: what they answer.
        rows: as `Warehouse.variant_aggregates` returns them.
    """

    asked: Asked
    rows: Sequence[Row]

    @property
    def wait(self) -> bool:
        """Whether identities are left out until their window has ended (M8), so that time alone changes the rows."""
        return any(row["not_mature"] for row in self.rows)

    def to_fields(self) -> dict[str, Any]:
        """Return what is kept as JSON."""
        return {"asked": asdict(self.asked), "rows": self.rows}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "KeptAggregates":
        """Return the rows that were kept as JSON."""
        return cls(Asked(**fields["asked"]), fields["rows"])


def plain(rows: Sequence[Row]) -> list[Row]:
    """Return rows as they are once they were kept: numbers and texts alone, to the last bit."""
    kept: list[Row] = json.loads(json.dumps(rows))
    return kept
