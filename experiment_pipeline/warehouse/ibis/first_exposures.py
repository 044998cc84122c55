"""First exposures where events lie, as an Ibis expression: one row per identity (rules X1-X4)."""

from dataclasses import dataclass, fields
from typing import Any

import ibis

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.audience import Audience
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.experiments import MultipleExposures
from experiment_pipeline.domain.exposures import Granularity
from experiment_pipeline.warehouse.ibis.conditions import meets_all
from experiment_pipeline.warehouse.ibis.events import DAY_MS, read_events
from experiment_pipeline.warehouse.ibis.properties import column_and_path, property_text

HOUR_MS = 3_600_000
NO_VALUE = ""  # the text of a dimension that an identity has no value of; every other one begins with a sign
OF_IDENTITY = ibis.window(group_by="identifier")


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
    """Return `identifier`, `first_ms`, `variant`, `quarantined`, and a text of each dimension, of the audience (M23).

    At equal times the smallest variant is the first (rule X2): the earliest time is found in a window over the
    identity, and then the smallest variant at it, since not every engine has an ordered `first` (rule N9). Duplicates
    change neither. The text of a dimension is `NO_VALUE` or its value behind a sign.
    """
    window, audience = scope.window, scope.audience
    rows = read_events(scope.environment_key, [EXPOSURE_EVENT], window.started_at, window.as_of, scope.data_version)
    of_flag = rows.filter(rows.feature_name == scope.feature)
    if audience.exclude_identifiers:
        of_flag = of_flag.filter(~of_flag.identifier.isin(sorted(set(audience.exclude_identifiers))))
    timed = of_flag.mutate(earliest_ms=of_flag.at_ms.min().over(OF_IDENTITY))
    columns = {
        "first_ms": timed.at_ms.min(),
        "variant": timed.value.min(where=timed.at_ms == timed.earliest_ms),
        "quarantined": timed.value.min() != timed.value.max(),
    }
    if not audience.reads_properties:
        return timed.group_by("identifier").agg(**columns)
    variants = (timed.at_ms == timed.earliest_ms).ifelse(timed.value, ibis.null("string"))
    timed = timed.mutate(first_variant=variants.min().over(OF_IDENTITY))
    exposures = timed.group_by("identifier").agg(**columns, **_properties_of_first(timed, audience))
    return exposures.filter(exposures.meets_only == 1).drop("meets_only") if audience.only else exposures


def dimension_column(place: int) -> str:
    """Return the name of the column of a dimension."""
    return f"dimension_{place}"


def _properties_of_first(timed: Any, audience: Audience) -> dict[str, Any]:
    """Return what the first exposure tells: of several at that time with that variant the one of the smallest hash.

    Of rows of one event it is the one that was loaded first. Times of loading have sixteen digits from 2001 to 2286.
    """
    is_first = (timed.at_ms == timed.earliest_ms) & (timed.value == timed.first_variant)
    order = timed.event_hash + timed.loaded_us.cast("string")
    found = {}
    if audience.only:
        meets = meets_all(timed, audience.only)
        met = meets.ifelse(ibis.literal(1, type="int64"), ibis.literal(0, type="int64"))
        found["meets_only"] = met.argmin(order, where=is_first)
    for place, dimension in enumerate(audience.dimensions):
        column, path = column_and_path(f"traits.{dimension.trait}")
        text = property_text(timed[column], path)
        shown = text.notnull().ifelse(ibis.literal("=") + text, ibis.literal(NO_VALUE))
        found[dimension_column(place)] = shown.argmin(order, where=is_first)
    return found


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
