"""Discovery: flags and variants that exposures have and no experiment covers."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from experiment_pipeline.domain.experiments import CONTROL, Experiment

CONTROL_NAMES = ("baseline", "default", "original", "off", "false", "0", "none", "old", "a")  # the likeliest first


@dataclass(frozen=True, slots=True)
class ExposedVariant:
    """A variant of a flag as exposures have it, over all time.

    Attributes:
        feature: the flag.
        variant: the value of the exposures.
        identities: that were exposed to it; those who saw several variants count in each.
        exposures: duplicates count once.
        first_at: the time of the first exposure, UTC.
        last_at: of the last one.
    """

    feature: str
    variant: str
    identities: int
    exposures: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ExposedVariants:
    """The pairs of flag and variant with the most identities; `pairs` is how many there are."""

    listed: tuple[ExposedVariant, ...] = ()
    pairs: int = 0


class ControlSign(StrEnum):
    """The reason why a variant is probably control."""

    KEY = "key"  # it has the reserved key
    NAME = "name"
    MOST_IDENTITIES = "most_identities"  # a weak sign


@dataclass(frozen=True, slots=True)
class ProbableControl:
    """The variant that is probably control, and the reason."""

    variant: str
    sign: ControlSign


@dataclass(frozen=True, slots=True)
class UncoveredFlag:
    """A flag with variants that no experiment covers.

    Attributes:
        feature: the flag.
        variants: those that no experiment covers, the one with the most identities first.
        experiments: keys of the experiments of this flag, whatever their variants and times.
        control: None where an experiment of the flag has a control already.
    """

    feature: str
    variants: tuple[ExposedVariant, ...]
    experiments: tuple[str, ...]
    control: ProbableControl | None

    @property
    def first_at(self) -> datetime:
        """The time of the first exposure to any of the variants, UTC."""
        return min(each.first_at for each in self.variants)

    @property
    def last_at(self) -> datetime:
        """The time of the last one."""
        return max(each.last_at for each in self.variants)


def uncovered_flags(seen: Iterable[ExposedVariant], experiments: Sequence[Experiment]) -> list[UncoveredFlag]:
    """Return the flags with variants that no experiment covers, the one with the most identities first.

    An experiment covers a variant of its flag that it compares, holds out or ignores, and that was exposed in its
    window; one that has not started covers all times.

    Args:
        seen: all variants that were exposed, those with the most identities first.
        experiments: those of the same environment, of any status.
    """
    by_flag: defaultdict[str, list[ExposedVariant]] = defaultdict(list)
    for each in seen:
        if not any(_covers(experiment, each) for experiment in experiments):
            by_flag[each.feature].append(each)
    flags = []
    for feature, variants in by_flag.items():
        keys = tuple(experiment.key for experiment in experiments if experiment.feature == feature)
        flags.append(UncoveredFlag(feature, tuple(variants), keys, None if keys else probable_control(variants)))
    return sorted(flags, key=lambda flag: (-sum(each.identities for each in flag.variants), flag.feature))


def probable_control(variants: Sequence[ExposedVariant]) -> ProbableControl:
    """Return which of a flag's variants is probably control: by its name, else the one with the most identities."""
    by_name = {each.variant.strip().casefold(): each.variant for each in reversed(variants)}
    if any(each.variant == CONTROL for each in variants):
        return ProbableControl(CONTROL, ControlSign.KEY)
    for name in (CONTROL, *CONTROL_NAMES):
        if name in by_name:
            return ProbableControl(by_name[name], ControlSign.NAME)
    largest = max(variants, key=lambda each: each.identities)
    return ProbableControl(largest.variant, ControlSign.MOST_IDENTITIES)


def _covers(experiment: Experiment, seen: ExposedVariant) -> bool:
    if experiment.feature != seen.feature:
        return False
    if seen.variant not in {CONTROL, *experiment.variant_keys, *experiment.ignored_variants}:
        return False
    if experiment.started_at is None:
        return True
    return experiment.started_at <= seen.last_at and (
        experiment.ended_at is None or seen.first_at < experiment.ended_at
    )
