"""Event ids that stand on several different events of one identity (rule E4)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RepeatedEventIds:
    """Event ids that came with another time or value, so that their events count apart.

    Attributes:
        ids: how many such ids there are among the identities that were looked at.
        events: how many events have them.
        share: of all identities, those that were looked at; 1 for all.
    """

    ids: int = 0
    events: int = 0
    share: float = 1.0
