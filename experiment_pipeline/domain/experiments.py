"""The nouns of an experiment: variants, design, and the shares it should split traffic by."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field, with_config

from experiment_pipeline.domain.audience import EVERYBODY, Audience
from experiment_pipeline.domain.fields import STRICT, Alpha, Looks, Number, Power, between, rule
from experiment_pipeline.domain.metrics import AttachedMetric, Mean
from experiment_pipeline.domain.phases import EndedPhase
from experiment_pipeline.errors import NotFound

CONTROL = "control"  # the reserved variant key; in the field's own SDKs too


class ExperimentStatus(StrEnum):
    """The statuses of an experiment (rule L1)."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"


class VariantRole(StrEnum):
    """The role of a variant in comparisons; a holdout is compared with nothing (rule X6)."""

    CONTROL = "control"
    TREATMENT = "treatment"
    HOLDOUT = "holdout"


class MultipleExposures(StrEnum):
    """The treatment of identities that saw more than one variant (rule X3)."""

    EXCLUDE = "exclude"
    FIRST = "first"

    @property
    def other(self) -> "MultipleExposures":
        """The one that an experiment of this one does not have."""
        return MultipleExposures.FIRST if self is MultipleExposures.EXCLUDE else MultipleExposures.EXCLUDE


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm. `percentage_allocation` in percent of the traffic, 0-100; None for control means the remainder."""

    key: str | None
    role: VariantRole
    percentage_allocation: float | None = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Design:
    """The plan of an experiment, made before its start."""

    alpha: Alpha = 0.05
    power: Power = 0.8
    mde: Annotated[
        Annotated[Number, between(0, 5, "Must be a share above 0 and below 5: 0.2 is 20 %.")] | None,
        Field(description="relative lift to detect, as a share: 0.2 is 20 %"),
    ] = None
    n_looks: Annotated[Looks, Field(description="planned looks")] = 1
    baseline: Annotated[
        Annotated[Number, rule(math.isfinite, "Must be a finite number.")] | None,
        Field(description="the control mean that the lift is relative to"),
    ] = None
    standard_deviation: Annotated[
        Annotated[Number, rule(lambda number: math.isfinite(number) and number > 0, "Must be above 0.")] | None,
        Field(description="of one identity's value, of a primary metric that is no share of identities"),
    ] = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Prior:
    """The lift on the primary metric as it was known before the start: a normal distribution."""

    mean: Annotated[
        Annotated[Number, between(-1, 5, "Must be a share above -1 and below 5: 0.02 is 2 %.")],
        Field(description="the lift that was expected, as a share: 0.02 is 2 %"),
    ]
    standard_deviation: Annotated[
        Annotated[Number, between(0, 5, "Must be a share above 0 and below 5: 0.05 is 5 %.")],
        Field(description="of the lifts that were thought possible, as a share: 0.05 is 5 %"),
    ]


DeclaredPrior = Annotated[
    Prior | None,
    Field(description="what was known about the lift before the start; shown beside the results, never in a verdict"),
]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment in one of its phases, the newest unless `in_phase` was asked for another (rules X9, X10).

    All times are UTC; `partition_key` is `<key>-<id>` (rule L6). Status, window, allocations and what was attached
    after the start are those of the phase.

    ignored_variants: values of exposures that do not count as traffic outside the split (rule S2)
    audience: who is analysed, and the groups that results are broken down by
    post_stratify: the dimension that the overall effect is also adjusted by
    prior: what was known about the lift on the primary metric; no verdict rests on it
    phase: the number of the phase
    ended_phases: every phase of the experiment that a restart has ended, whichever phase this is
    """

    id: int
    environment_key: str
    key: str
    partition_key: str
    name: str
    feature: str
    status: ExperimentStatus
    variants: tuple[Variant, ...]
    metrics: tuple[AttachedMetric, ...] = ()
    hypothesis: str = ""
    multiple_exposures: MultipleExposures = MultipleExposures.EXCLUDE
    refresh_interval: timedelta = timedelta(hours=1)
    design: Design = field(default_factory=Design)
    ignored_variants: tuple[str, ...] = ()
    audience: Audience = EVERYBODY
    post_stratify: str | None = None
    prior: Prior | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    deleted_at: datetime | None = None
    phase: int = 1
    ended_phases: tuple[EndedPhase, ...] = ()

    @property
    def is_in_newest_phase(self) -> bool:
        """Whether no restart has ended this phase."""
        return self.phase > len(self.ended_phases)

    @property
    def earlier_phases(self) -> tuple[EndedPhase, ...]:
        """The phases before this one."""
        return self.ended_phases[: self.phase - 1]

    @property
    def first_started_at(self) -> datetime | None:
        """The start of phase 1."""
        return self.ended_phases[0].started_at if self.ended_phases else self.started_at

    def overlaps_earlier_phase(self, attached: AttachedMetric) -> bool:
        """Return whether the pre-period of a metric reaches into an earlier phase for anybody (rule X11).

        Whoever is first exposed at the start of this phase has the earliest one.
        """
        statistic = attached.metric.statistic
        before = statistic.covariate_before if isinstance(statistic, Mean) else None
        if before is None or self.started_at is None or not self.earlier_phases:
            return False
        return self.started_at - before < self.earlier_phases[-1].ended_at

    def in_phase(self, number: int) -> "Experiment":
        """Return the experiment as it was in a phase: one that a restart has ended is completed (rule X9).

        Raises:
            NotFound: it has no such phase.
        """
        if number == self.phase:
            return self
        if not 0 < number <= len(self.ended_phases):
            newest = len(self.ended_phases) + 1
            raise NotFound(f"'{self.key}' has no phase {number}: there {_phases(newest)}.")
        phase = self.ended_phases[number - 1]
        return replace(
            self,
            phase=number,
            status=ExperimentStatus.COMPLETED,
            started_at=phase.started_at,
            ended_at=phase.ended_at,
            variants=tuple(
                replace(variant, percentage_allocation=allocation)
                for variant, allocation in zip(self.variants, phase.percentage_allocations, strict=True)
            ),
            metrics=attached_in_phase(self.metrics, number),
        )

    @property
    def variant_keys(self) -> tuple[str, ...]:
        """Keys of all variants that have one, the holdout's included."""
        return tuple(v.key for v in self.variants if v.key is not None)

    @property
    def compared_keys(self) -> tuple[str, ...]:
        """Keys of control and treatments: the arms that take part in SRM and inference (rule X6)."""
        return tuple(v.key for v in self.variants if v.key is not None and v.role is not VariantRole.HOLDOUT)

    @property
    def plan(self) -> Design:
        """The design that the primary metric's end is planned by: a guardrail with a margin has that as its mde."""
        margin = self.metrics[0].margin if self.metrics else None
        return self.design if margin is None else replace(self.design, mde=margin)

    @property
    def has_planned_looks(self) -> bool:
        """Whether the verdict on the primary metric is read at planned looks; known before the start (rule C8)."""
        return self.design.n_looks > 1 and not self.looks_lack

    @property
    def looks_lack(self) -> str:
        """Words for what the looks that the design plans lack; empty where they lack nothing."""
        design, primary = self.design, self.metrics[0] if self.metrics else None
        if not design.mde or not design.baseline:
            return "without mde and baseline"
        if primary is None:
            return "without a primary metric"
        if primary.margin is not None:
            return "with a primary metric that is a guardrail with a margin"
        if not primary.metric.is_proportion and design.standard_deviation is None:
            return "without standard_deviation, since the primary metric is no share of identities"
        return "with a power that is not above alpha" if design.power <= design.alpha else ""


def _phases(newest: int) -> str:
    return "is phase 1 alone" if newest == 1 else f"are phases 1 to {newest}"


def attached_in_phase(attached: Iterable[AttachedMetric], phase: int) -> tuple[AttachedMetric, ...]:
    """Return the metrics that a phase has; one that was attached in it came after its start (rules X9, M22)."""
    return tuple(
        replace(each, added_after_start=each.added_in_phase == phase)
        for each in attached
        if each.added_in_phase <= phase
    )


@dataclass(frozen=True, slots=True)
class SharesUnknown:
    """The variants do not say how traffic should split (rule S2).

    reason: `variant_without_key` or `allocations_over_100`
    """

    reason: str


def expected_shares(variants: Iterable[Variant]) -> dict[str, float] | SharesUnknown:
    """Return the share of the analysed traffic that each compared arm should get, by key; they sum to 1 (rule S1).

    Control takes what treatments and holdouts leave; a holdout's allocation is taken out and the rest renormalised.
    Where a holdout leaves nothing, every share is 0. A treatment that states no allocation has none.
    """
    configured = tuple(variants)
    if any(variant.key is None for variant in configured):
        return SharesUnknown(reason="variant_without_key")
    allocated = {
        variant: variant.percentage_allocation or 0.0
        for variant in configured
        if variant.role is not VariantRole.CONTROL
    }
    remainder = unallocated(allocated.values())
    if remainder < 0:
        return SharesUnknown(reason="allocations_over_100")
    analysed = {
        variant.key: allocated.get(variant, remainder)
        for variant in configured
        if variant.key is not None and variant.role is not VariantRole.HOLDOUT
    }
    total = math.fsum(analysed.values())
    return {key: percentage / total if total else 0.0 for key, percentage in analysed.items()}


def unallocated(percentages: Iterable[float]) -> float:
    """Return what is left of 100 %, negative above it, to nine decimals: 33.3 + 66.7 leave 0, not 1e-14."""
    return round(100.0 - math.fsum(percentages), 9)
