"""Refreshes: whether an engine reads what is new alone, or all of the window again, and why (rules I1, I4)."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from experiment_pipeline.domain.analysis import AnalysisScope

MOST_CHANGED = 4  # of so many identities at most one may have to be read again; else reading all costs less


class RefreshMode(StrEnum):
    """The ways in which a caller asks for an analysis.

    - `full`: everything is read, and nothing is kept for a later refresh.
    - `incremental`: what entered the scope since the last refresh is read, where that is exact and gains something.
    - `audited`: everything is read, and the incremental refresh is compared with it (rule I4).
    """

    FULL = "full"
    INCREMENTAL = "incremental"
    AUDITED = "audited"


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """The bounds of incremental refreshes.

    Attributes:
        least_rows: identities, or events, from which on a state is kept: fewer are read sooner than a state.
        audit_every: one refresh in so many is full, and compared with the incremental one (rule I4).
    """

    least_rows: int = 100_000
    audit_every: int = 50


@dataclass(frozen=True, slots=True)
class SharedScan:
    """One scan of events for several experiments of a batch (rule N8).

    Attributes:
        experiments: that share it.
        files: of the lake that it read, each once for every kind of event.
        rows: that it read.
    """

    experiments: int
    files: int
    rows: int


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """The way in which an engine came to a result.

    Attributes:
        full_because: why everything was read; None where only what entered the scope was.
        rows_read: events, or first exposures and exposures, that the engine took in; None where it does not count them.
        state_bytes: of the state that is kept for the next refresh; None where none is.
        difference: what an audit found to differ; None where nothing did, or nothing was audited.
        is_audited: whether the incremental refresh was compared with the full one.
        seconds_saved: less than the last full refresh took; None where everything was read.
        shared: the scan that its events came from; None where it read them alone.
    """

    full_because: str | None = None
    rows_read: int | None = None
    state_bytes: int | None = None
    difference: str | None = None
    is_audited: bool = False
    seconds_saved: float | None = None
    shared: SharedScan | None = None

    @property
    def text(self) -> str:
        """Return `incremental`, or `full (reason)`."""
        return "incremental" if self.full_because is None else f"full ({self.full_because})"


ASKED_FOR = RefreshReport("incremental refresh is off")
AUDIT = "audit of the incremental refresh"


@dataclass(frozen=True, slots=True)
class KnownScope:
    """The scope that a state was computed for, and everything else that it depends on (rule I1).

    Attributes:
        definitions: digest of what was asked for: the flag and the audience, or more.
        history: of the lake; it changes where a repair or a restore may have changed rows of known batches.
        since_full: incremental refreshes since the last full one.
    """

    code_version: str
    definitions: str
    installation: str | None
    history: str
    started_at: datetime
    as_of: datetime
    data_version: int
    since_full: int = 0

    @classmethod
    def of(cls, scope: AnalysisScope, *, code_version: str, definitions: str, history: str) -> "KnownScope":
        """Return what a state of this scope depends on."""
        return cls(
            code_version,
            definitions,
            scope.installation,
            history,
            scope.window.started_at,
            scope.window.as_of,
            scope.data_version,
        )

    def obstacle(self, now: "KnownScope") -> str | None:
        """Return why a state of this scope cannot be brought up to a later one; None where it can."""
        for name, told in (
            ("code_version", "the code has changed"),
            ("definitions", "definitions have changed"),
            ("installation", "another installation computed the state"),
            ("history", "the lake is another one, or was repaired or restored"),
            ("started_at", "the window starts at another moment"),
        ):
            if getattr(self, name) != getattr(now, name):
                return told
        if now.as_of < self.as_of or now.data_version < self.data_version:
            return "the state is of a later refresh"
        return None

    def then(self, now: "KnownScope") -> "KnownScope":
        """Return the later scope, one incremental refresh after this one."""
        return replace(now, since_full=self.since_full + 1)


def digest_of(definitions: object) -> str:
    """Return a digest of definitions that are equal where their texts are."""
    return hashlib.sha256(repr(definitions).encode()).hexdigest()[:16]
