"""First exposures where events lie, as an Ibis expression: one row per identity (rules X1-X4)."""

from dataclasses import dataclass, fields
from typing import Any

import ibis

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.experiments import MultipleExposures
from experiment_pipeline.domain.exposures import Granularity
from experiment_pipeline.warehouse.ibis.events import DAY_MS, read_events

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class StoredScope(AnalysisScope):
    """A scope whose first exposures are stored in a table of the warehouse (rule N3).

    Attributes:
        exposures: the name of the table.
    """

    exposures: str = ""

    @classmethod
    def of_table(cls, scope: AnalysisScope, exposures: str) -> "StoredScope":
        """Return a scope with its table."""
        return cls(**{each.name: getattr(scope, each.name) for each in fields(AnalysisScope)}, exposures=exposures)


def first_exposures(scope: AnalysisScope) -> Any:
    """Return the rows of `computed_exposures`, from the table of a scope that has one."""
    computed = computed_exposures(scope)
    return ibis.table(computed.schema(), name=scope.exposures) if isinstance(scope, StoredScope) else computed


def computed_exposures(scope: AnalysisScope) -> Any:
    """Return `identifier`, `first_ms`, `variant` and `quarantined`; duplicates change none of them.

    At equal times the smallest variant is the first (rule X2): the earliest time is found in a window over the
    identity, and then the smallest variant at it, since not every engine has an ordered `first` (rule N9).
    """
    window = scope.window
    rows = read_events(scope.environment_key, [EXPOSURE_EVENT], window.started_at, window.as_of, scope.data_version)
    of_flag = rows.filter(rows.feature_name == scope.feature)
    timed = of_flag.mutate(earliest_ms=of_flag.at_ms.min().over(ibis.window(group_by="identifier")))
    return timed.group_by("identifier").agg(
        first_ms=timed.at_ms.min(),
        variant=timed.value.min(where=timed.at_ms == timed.earliest_ms),
        quarantined=timed.value.min() != timed.value.max(),
    )


def analysed_identities(scope: AnalysisScope) -> Any:
    """Return the first exposures that the policy of rule X3 leaves."""
    exposures = first_exposures(scope)
    excludes = scope.multiple_exposures is MultipleExposures.EXCLUDE
    return exposures.filter(~exposures.quarantined) if excludes else exposures


def counted_identities(scope: AnalysisScope) -> Any:
    """Return `variant` and `n` of the analysed identities, all variants that were seen among them."""
    return analysed_identities(scope).group_by("variant").agg(n=ibis._.count())


def counted_quarantine(scope: AnalysisScope) -> Any:
    """Return `n` identities that were first exposed, and `n_quarantined` of them (rule X3), in one row."""
    exposures = first_exposures(scope)
    return exposures.agg(n=exposures.count(), n_quarantined=exposures.quarantined.sum())


def counted_buckets(scope: AnalysisScope) -> Any:
    """Return `bucket_ms`, `variant`, `quarantined` and `n`; quarantined only where the policy excludes (rule X4)."""
    exposures = first_exposures(scope)
    length = HOUR_MS if scope.window.granularity is Granularity.HOUR else DAY_MS
    excludes = scope.multiple_exposures is MultipleExposures.EXCLUDE
    started = exposures.mutate(
        bucket_ms=exposures.first_ms - exposures.first_ms % length,
        quarantined=exposures.quarantined if excludes else ibis.literal(False),
    )
    return started.group_by("bucket_ms", "variant", "quarantined").agg(n=started.count())
