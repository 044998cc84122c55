"""Looks: every published results payload of an experiment, numbered from 1, and what moved since the one before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Look:
    """One published results payload.

    Attributes:
        number: 1 for the first of the experiment's phase.
        as_of: the end of the window that it covers, UTC.
        payload: as it was published.
    """

    number: int
    as_of: datetime
    data_version: int
    computed_at: datetime
    code_version: str
    payload: Mapping[str, Any]
    phase: int = 1

    @property
    def identities(self) -> int:
        """The analysed identities of all compared variants."""
        counted: Mapping[str, int] = self.payload["srm"]["identities"]
        return sum(counted.values())

    @property
    def metric_ids(self) -> frozenset[int]:
        """The metrics that it has."""
        return frozenset(metric["metric_id"] for metric in self.payload["metrics"])


@dataclass(frozen=True, slots=True)
class LateAnalysis:
    """How an analysis differs from one of an earlier look, as an engine counts it.

    Attributes:
        late_events: events that the analysis reads, of a batch after the look's data version, dated before its as-of.
        new_identities: analysed now, and not in the look.
        restated_identities: analysed in both, with another first exposure, variant or value through such events, or
            through removed ones.
        removed_events: events that the look read and that have been removed since (rule E6).
    """

    late_events: int
    new_identities: int
    restated_identities: int
    removed_events: int = 0


@dataclass(frozen=True, slots=True)
class Movement:
    """The number of a look, and what moved since the look before it; nothing for the first one.

    Attributes:
        newly_quarantined: identities that were analysed in the look before and are excluded now.
        erased: identities that were analysed in the look before and have been erased since (rule E6).
        code_changed: whether another version of the code that decides numbers computed the look before.
        is_compared: whether an engine has compared both looks; if not, new identities are the difference of their
            numbers, and nothing else is known.
    """

    number: int
    previous_as_of: datetime | None
    new_identities: int
    late_events: int = 0
    restated_identities: int = 0
    newly_quarantined: int = 0
    removed_events: int = 0
    erased: int = 0
    code_changed: bool = False
    is_compared: bool = True

    @classmethod
    def first(cls, identities: int) -> "Movement":
        """Return that of an experiment's first look, in which all its identities are new."""
        return cls(number=1, previous_as_of=None, new_identities=identities)

    @classmethod
    def since(
        cls, previous: Look, identities: int, found: LateAnalysis | None, code_version: str, *, erased: int = 0
    ) -> "Movement":
        """Return what moved since a look. Of one that counted nobody everything is new, and nothing restated.

        Args:
            previous: the look before.
            identities: analysed now.
            found: what the engine counted; None where it does not compare looks.
            code_version: of the code that computes now.
            erased: identities of the look before that have been erased since.
        """
        code_changed = previous.code_version != code_version
        if found is None:
            grown = identities - previous.identities
            return cls(previous.number + 1, previous.as_of, grown, code_changed=code_changed, is_compared=False)
        is_of_nobody = not previous.identities  # its window may have begun at another moment, too (rule L1)
        new = identities if is_of_nobody else found.new_identities
        return cls(
            number=previous.number + 1,
            previous_as_of=previous.as_of,
            new_identities=new,
            late_events=found.late_events,
            restated_identities=0 if is_of_nobody else found.restated_identities,
            # Another version of the code may have counted others: then there is no such number, and it is not negative.
            newly_quarantined=max(0, previous.identities + new - identities - erased),
            removed_events=found.removed_events,
            erased=erased,
            code_changed=code_changed,
        )
