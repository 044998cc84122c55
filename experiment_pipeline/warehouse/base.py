"""Engines: how raw events become first exposures, buckets and aggregates, whatever computes them.

An engine owns its identity-level rows (`first_exposures`); they never leave it. Everything that it returns is small.
Every engine runs the same contract suite (tests/warehouse/contract.py) and must agree with the plain-Python reference.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl
from typing_extensions import override

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.discovery import ExposedVariants
from experiment_pipeline.domain.environments import EMBEDDED
from experiment_pipeline.domain.event_ids import RepeatedEventIds
from experiment_pipeline.domain.event_timing import EventTiming
from experiment_pipeline.domain.exposures import FirstExposureCounts, SeenExposures, Window
from experiment_pipeline.domain.field_types import FieldTypes
from experiment_pipeline.domain.looks import LateAnalysis, Look
from experiment_pipeline.domain.metric_preview import MetricPreview
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.warehouse.artifacts import Stamp
from experiment_pipeline.warehouse.costs import Cost
from experiment_pipeline.warehouse.refreshes import ASKED_FOR, RefreshMode, RefreshReport


@dataclass(frozen=True, slots=True)
class FirstExposures:
    """Summary of the identity-level artifact; counts are identities, over all variants.

    Attributes:
        identities: first exposed in the window.
        quarantined: of these, seen with more than one variant (rule X3), whatever the policy.
        sql: the statement that computed it; values are bound as parameters, so none stands in it.
        refresh: how it was computed.
        cost: of a warehouse; None of the embedded engine.
    """

    identities: int
    quarantined: int
    sql: str
    refresh: RefreshReport = ASKED_FOR
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A small result, the statement that computed it, how, and the cost of a warehouse."""

    rows: pl.DataFrame
    sql: str
    refresh: RefreshReport = ASKED_FOR
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows of one scope in a warehouse.

    Attributes:
        rows: of the flag and the metrics, repeated and rejected ones included.
        rejected: of these, rows that break rules E1 to E3 and are left out, by reason (rule N10).
    """

    rows: int
    rejected: Mapping[str, int]


class Warehouse(Protocol):
    """One engine over the events of one environment: what a refresh needs. Everything else is a capability (N1)."""

    @property
    def capabilities(self) -> "Capabilities":
        """The parts of an analysis that the engine offers beside this."""

    def newest_version(self, environment_key: str, now: datetime) -> int | None:
        """Return the data version of a run that begins now (rules R5, N4); None for the lake's newest batch.

        Args:
            environment_key: of the events.
            now: UTC.
        """

    def write_first_exposures(self, scope: AnalysisScope, mode: RefreshMode = RefreshMode.FULL) -> FirstExposures:
        """Compute rules X1-X3 over the scope and replace the artifact of the partition's phase as one atomic step.

        However it is computed, the artifact is the one of everything (rule X5).

        Raises:
            ContractBroken: the rows would not be one complete row per identity in the window; the artifact stays.
        """

    def stamp(self, partition_key: str, phase: int = 1) -> Stamp:
        """Return what the stored first exposures were computed from: downstream artifacts inherit it (rule R5).

        Raises:
            ArtifactMissing: no first exposures are stored for this phase of the partition.
        """

    def exposure_buckets(self, scope: AnalysisScope) -> Frame:
        """Count new identities by bucket and variant, from the stored first exposures (rule X4).

        Returns:
            Rows `bucket` (UTC datetime), `variant`, `quarantined`, `new_identities`, sorted by the first three;
            `quarantined` is True only for identities that the policy excludes.
        """

    def variant_aggregates(
        self,
        scope: AnalysisScope,
        metrics: tuple[Metric, ...],
        *,
        sensitive: Metric | None = None,
        self_check: bool = False,
        mode: RefreshMode = RefreshMode.FULL,
    ) -> Frame:
        """Aggregate metrics over the analysed identities of each variant (rules M2-M5, E5).

        Args:
            scope: of the analysis.
            metrics: to aggregate.
            sensitive: one of them, which is also aggregated as if it were declared in other ways: with the other policy
                of rule X3, and without its cap and floor where it has any. These rows have the part `sensitivity`, and
                that policy or `uncapped` as their name.
            self_check: whether control is split in two, `SPLITS` times for each metric, by hashes of the partition key,
                the metric, the split and the identity, and a test at 5 % counts the splits whose halves differ.
            mode: what may be left unread; the rows are those of everything, to the last bit (rule X5).

        Returns:
            Rows `metric_id`, `variant`, `n`, `mean`, `m2`, `nonzero`, `nonzero_x`, `with_value`, `with_event`,
            `largest`, `values`, `invalid_values`, sorted by the first two: one per metric and variant of the scope that
            the artifact holds, without events too, and none without metrics. `n` comes from the first exposures (rule
            M4); mean and m2 are each null where they are too large for a double. Of identities, `nonzero` counts those
            whose value is not 0, `nonzero_x` those whose denominator or pre-period is not 0, `with_value` those that
            have one (of a mean those with a number among their events, otherwise all), `with_event` those with an event
            that counts (of a funnel, that reach its last step), and `largest` is the largest value, null without
            identities or where it is too large. Of events, `values` counts those whose value the metric reads,
            `invalid_values` those whose value is not a number. With a self-check, control's rows of whole metrics have
            `split_calls`, or `split_reason` where there is none.
        """

    def variant_identities(self, scope: AnalysisScope, *, before_entry: bool = False) -> dict[str, int]:
        """Return the number of analysed identities of every variant seen, in the order of their keys (rule S1).

        Args:
            scope: of the analysis.
            before_entry: whether those are counted, too, that never had the event where their analysis would start.
        """


class HealthCounts(Protocol):
    """Counts that health checks ask for, beside what is analysed."""

    def first_exposure_counts(self, scope: AnalysisScope) -> FirstExposureCounts:
        """Return how many identities were first exposed on each day, of the stored first exposures.

        Quarantined identities count whatever the policy, and so does every variant that was seen (rules X3, X6).
        """

    def count_exposures(self, scope: AnalysisScope, feature: str, window: Window) -> SeenExposures:
        """Count the exposures of a flag of the scope's environment in any window, at the scope's data version."""

    def count_saw_another_variant(self, scope: AnalysisScope, earlier: Window) -> int:
        """Count the analysed identities that were exposed to another variant of the flag in an earlier window (X11).

        The scope's first exposures must be stored.
        """

    def repeated_event_ids(self, scope: AnalysisScope, events: Collection[str], share: float) -> RepeatedEventIds:
        """Count the event ids in the window that several different events of one name and identity have (rule E4).

        Args:
            scope: the environment, the window and the data version.
            events: the names of the events.
            share: of the identities, at most 1: those with the smallest hashes are looked at, exposed or not.
        """

    def event_timing(
        self, scope: AnalysisScope, events: Collection[str], share: float, since: datetime, late_after: timedelta
    ) -> EventTiming:
        """Count exposures of the flag and these events in the window, by when they landed and by the first exposure.

        Args:
            scope: of the analysis, whose first exposures are stored.
            events: the names of the metrics' events.
            share: of the identities, at most 1: those with the smallest hashes are looked at, exposed or not.
            since: events that happened before are not counted among those that may be late; UTC.
            late_after: an event is late that landed more than this after it happened.
        """

    def ambiguous_links(self, scope: AnalysisScope) -> int:
        """Return how many anonymous identities of the environment have links to several known ones (rule D6).

        They stay themselves.
        """

    def field_types(self, scope: AnalysisScope, event: str, fields: Sequence[str]) -> list[FieldTypes]:
        """Return the types in which properties of one kind of event came in the window, with samples of their values.

        Args:
            scope: of the analysis; of exposures, those of its flag are read.
            event: the name of the event.
            fields: paths of properties, one or more: `traits.plan`.
        """

    def flag_names(self, scope: AnalysisScope, limit: int) -> dict[str, int]:
        """Return the flags that were exposed around the window, with their exposures, the most frequent ones first.

        What is read may reach beyond the window, to whole months; so does what `event_names` reads.
        """

    def event_names(self, scope: AnalysisScope, wanted: Collection[str], limit: int) -> dict[str, int]:
        """Return the kinds of events around the window, exposures left out, with their number.

        Args:
            scope: the environment, the window and the data version.
            wanted: names that come first where they occur; then come the most frequent ones.
            limit: names at most.
        """


class LookComparison(Protocol):
    """Comparison of a look with an earlier one."""

    def late_analysis(self, scope: AnalysisScope, metrics: tuple[Metric, ...], look: Look) -> LateAnalysis:
        """Count what differs from an earlier look: late events, new identities, restated ones (rule R9).

        Where no file can hold a late event this costs a few queries of files' statistics and of the first exposures,
        which must be stored.

        Args:
            scope: of the present analysis.
            metrics: its metrics; those that the look does not have are left out.
            look: an earlier one, which counted identities.
        """


class InPlace(Protocol):
    """Answers about events that lie in a warehouse and not in the lake."""

    @property
    def settle(self) -> timedelta:
        """How old a data version is at least when a run begins with it (rule N4)."""

    def row_counts(self, scope: AnalysisScope, events: Collection[str]) -> RowCounts:
        """Count the rows of the flag and of these events that the scope reads.

        What is counted below a data version never changes, unless rows are loaded with an earlier time (rule N4).
        """

    def cost(self, scope: AnalysisScope) -> Cost:
        """Return the cost of the experiment's statements since its first exposures were computed, by this object."""


class Exploration(Protocol):
    """Answers about events before an experiment is declared."""

    def preview_metric(
        self, scope: AnalysisScope, metric: Metric, on_identities: Callable[[int, int], None]
    ) -> MetricPreview | None:
        """Measure one metric over the analysed identities of a scope, all its variants together (rules M2-M14).

        No artifact of the scope's partition is read or replaced: a refresh may run meanwhile.

        Args:
            scope: of the analysis.
            metric: declared, or not yet.
            on_identities: told how many identities of how many are done.

        Returns:
            Numbers over all identities, none of a single one but the largest values; None where nobody is analysed.
        """

    def event_times(
        self, environment_key: str, data_version: int, before: datetime
    ) -> tuple[datetime, datetime] | None:
        """Return when the first and the last event of an environment before a moment were (UTC); None without one."""

    def exposed_variants(
        self, environment_key: str, data_version: int, before: datetime, limit: int
    ) -> ExposedVariants:
        """Return the flags and variants of an environment that were ever exposed before a moment.

        Memory is that of the engine's limit, however many identities there are.

        Args:
            environment_key: of the exposures.
            data_version: rows with `batch <= data_version` are read (rule E6).
            before: exclusive, UTC.
            limit: pairs at most, those with the most identities first.
        """


@dataclass(frozen=True, slots=True)
class WantedAggregates:
    """One analysis whose `variant_aggregates` are about to be asked for, of several that share a scan (rule N8)."""

    scope: AnalysisScope
    metrics: tuple[Metric, ...]
    mode: RefreshMode


class SharedScanning(Protocol):
    """Scans of events for several experiments at once."""

    def sharing(self, analyses: Sequence[WantedAggregates]) -> AbstractContextManager[Warehouse]:
        """Give the engine for a block that asks for the aggregates of several experiments (rule N8).

        What several of them read of the lake is read once, before the block, and kept on disk until its end. Each
        result is that of an engine that shares nothing, to the last bit; `RefreshReport.shared` tells what was shared.

        Args:
            analyses: the experiments; their first exposures are stored.
        """


class LakeWarehouse(Warehouse, HealthCounts, LookComparison, Exploration, SharedScanning, Protocol):
    """An engine over the lake: it computes everything, and reads batches."""

    @property
    @override
    def capabilities(self) -> "Capabilities":
        return Capabilities(
            EMBEDDED,
            health_inputs=self,
            look_comparison=self,
            exploration=self,
            self_check=True,
            sensitivity=True,
            replay=True,
            shared_scan=self,
        )

    @override
    def newest_version(self, environment_key: str, now: datetime) -> int | None:
        return None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Parts of an analysis that an engine computes, or refuses (rules N1, N10).

    Attributes:
        engine: its name.
        health_inputs: counts for health checks; None where these checks are not made.
        look_comparison: what moved since the look before; None where it is not counted.
        exploration: previews of metrics, and flags that nobody has declared; None where there are none.
        self_check: whether control can be split in two, to be compared with itself.
        sensitivity: whether the primary metric is aggregated as if it were declared in other ways, too.
        replay: whether an earlier data version is read as it was.
        in_place: of a warehouse; None of an engine over the lake.
        shared_scan: scans of events for several experiments; None where each is computed alone.
    """

    engine: str
    health_inputs: HealthCounts | None = None
    look_comparison: LookComparison | None = None
    exploration: Exploration | None = None
    self_check: bool = False
    sensitivity: bool = False
    replay: bool = False
    in_place: InPlace | None = None
    shared_scan: SharedScanning | None = None

    @property
    def refused(self) -> tuple[str, ...]:
        """The names of what a refresh does not compute on this engine, for the payload."""
        offered = {
            "health_inputs": self.health_inputs is not None,
            "look_comparison": self.look_comparison is not None,
            "self_check": self.self_check,
            "sensitivity": self.sensitivity,
            "replay": self.replay,
        }
        return tuple(name for name, is_offered in offered.items() if not is_offered)
