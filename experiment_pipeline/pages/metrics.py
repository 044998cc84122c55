"""Metrics of an experiment as pages show them: every variant, and the readings of every treatment against control."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.metrics import AttachedMetric, Direction, ExpectedDirection
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.quantities import (
    WITHHELD,
    Quantity,
    chance_words,
    lift_words,
    p_words,
    readable,
    shown,
)
from experiment_pipeline.pages.tones import VERDICT_TONES, Tone
from experiment_pipeline.results.comparison_payload import AnytimePayload, EffectPayload, LiftPayload, MarginPayload
from experiment_pipeline.results.families import Family
from experiment_pipeline.results.metric_payload import MetricPayload
from experiment_pipeline.results.model import DecidedBy
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.results.reasons import in_words
from experiment_pipeline.stats.verdict import Verdict

EXPECTATIONS = {
    ExpectedDirection.INCREASE: "expected to rise",
    ExpectedDirection.DECREASE: "expected to fall",
    ExpectedDirection.NOT_INCREASE: "must not rise",
    ExpectedDirection.NOT_DECREASE: "must not fall",
}
FAMILIES = {
    Family.PRIMARY: "primary metric",
    Family.GUARDRAIL: "guardrail",
    Family.SECONDARY: "secondary metric",
    Family.LATER: "added after the start",
}


class ReadingName(StrEnum):
    """The readings of a comparison that a page shows, one at a time."""

    PLAIN = "plain"
    ADJUSTED = "adjusted"
    ANYTIME = "anytime"


READINGS = {  # the name of each for people, and what it is
    ReadingName.PLAIN: ("plain", "as it was measured; its interval is for one look"),
    ReadingName.ADJUSTED: ("adjusted", "less what identities did before their exposure; its interval is for one look"),
    ReadingName.ANYTIME: ("at every look", "the interval holds at every refresh at once"),
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval, for pictures: as the payload has them."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ReadingView:
    """One reading of a treatment against control. Texts are for tables; what is withheld is `WITHHELD`.

    Attributes:
        effect: treatment less control, in the metric's unit; of a guardrail with a margin, at every look: less what it
            would be exactly at the margin.
        lift: the effect relative to control; an interval that holds at every look has none.
        p_value: of no effect; the plain and the adjusted reading have none of their own.
        effect_estimate: the numbers of `effect`; None where it is withheld.
        lift_estimate: the numbers of `lift`, as shares: 0.1 is ten per cent.
    """

    effect: str = WITHHELD
    effect_interval: str = WITHHELD
    lift: str = WITHHELD
    lift_interval: str = WITHHELD
    chance_to_win: str = WITHHELD
    p_value: str = WITHHELD
    effect_estimate: Estimate | None = None
    lift_estimate: Estimate | None = None


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """A treatment against control.

    Attributes:
        adjusted: None where the metric has no pre-period, or was not adjusted.
        p_value: the one that the verdict rests on, as a text.
        verdict: as the payload has it.
        verdict_words: the same for people.
        reason: why numbers are withheld, in words; empty where none are.
        decided_by: the reading, plain or adjusted, that the verdict is about.
    """

    plain: ReadingView
    adjusted: ReadingView | None
    anytime: ReadingView
    p_value: str
    verdict: Verdict
    verdict_words: str
    tone: Tone
    reason: str
    decided_by: ReadingName

    def reading(self, name: ReadingName) -> ReadingView:
        """Return one reading; the plain one where nothing was adjusted."""
        if name is ReadingName.ANYTIME:
            return self.anytime
        return self.plain if name is ReadingName.PLAIN or self.adjusted is None else self.adjusted


@dataclass(frozen=True, slots=True)
class ArmView:
    """A variant of a metric: its key, cut to fit a line; identities and value as texts; None against itself."""

    variant: str
    identities: str
    value: str
    comparison: ComparisonView | None


@dataclass(frozen=True, slots=True)
class MetricView:
    """One metric.

    Attributes:
        name: whole, on one line.
        wanted: what its verdict is about, and its unit: "higher is better, in EUR".
        family: "primary metric", "guardrail", "secondary metric" or "added after the start"; empty where not known.
        threshold: 0 of the reading `anytime`, which the verdict is about: "no effect", or "the margin" of a guardrail.
        quantity: the format of its numbers.
        arms: control first.
    """

    id: int
    name: str
    wanted: str
    family: str
    is_primary: bool
    threshold: str
    quantity: Quantity
    arms: tuple[ArmView, ...]

    @property
    def comparisons(self) -> Mapping[str, ComparisonView]:
        """Every treatment against control, by the variant."""
        return {arm.variant: arm.comparison for arm in self.arms if arm.comparison is not None}

    @property
    def reading_names(self) -> tuple[ReadingName, ...]:
        """The readings that it has."""
        adjusted = any(each.adjusted is not None for each in self.comparisons.values())
        return tuple(name for name in ReadingName if adjusted or name is not ReadingName.ADJUSTED)


def metric_views(experiment: Experiment, results: ResultsPayload) -> tuple[MetricView, ...]:
    """Return every metric of the results, the primary one first."""
    return tuple(_metric_view(experiment, of, metric) for of, metric in attached_metrics(experiment, results))


def attached_metrics(experiment: Experiment, results: ResultsPayload) -> Iterator[tuple[AttachedMetric, MetricPayload]]:
    """Yield every metric of the results as it is attached, and its payload."""
    attached = {each.metric.id: each for each in experiment.metrics}
    for metric in results["metrics"]:
        yield attached[metric["metric_id"]], metric


def interval_label(experiment: Experiment) -> str:
    """Return the name of intervals, by the design's level: "95 % interval"."""
    return f"{100 * (1 - experiment.design.alpha):g} % interval"


def wanted_words(attached: AttachedMetric) -> str:
    """Return what the verdict is about, and the unit.

    It is about a guardrail's bound, the better side, or for neither what was expected.
    """
    if attached.expected_direction.is_guardrail or attached.metric.direction is Direction.INFORMATIONAL:
        wanted = EXPECTATIONS[attached.expected_direction]
        if attached.margin is not None:
            wanted = f"{wanted} by {100 * attached.margin:g} %"
    else:
        wanted = "lower is better" if attached.metric.direction is Direction.DOWN else "higher is better"
    return f"{wanted}, in {printable(attached.metric.unit)}" if attached.metric.unit else wanted


def verdict_interval(metric: MetricPayload, treatment: str) -> Estimate | None:
    """Return the number that the verdict is about, with the interval that holds at every look; 0 is its threshold.

    It is the effect by the reading that decides or, of a guardrail with a margin, the distance from that margin. None
    where it is withheld, and in payloads that an older version stored.
    """
    margin = metric.get("margin", {}).get(treatment)
    if margin is not None:
        value, low, high = margin["value"], margin["ci_low"], margin["ci_high"]
        return None if value is None or low is None or high is None else Estimate(value, low, high)
    anytime, effect = metric.get("anytime", {}).get(treatment), _deciding_effect(metric, treatment)
    if anytime is None or effect is None:
        return None
    return Estimate(effect["value"], anytime["ci_low"], anytime["ci_high"])


def _metric_view(experiment: Experiment, attached: AttachedMetric, metric: MetricPayload) -> MetricView:
    quantity = Quantity.of(attached, metric["variants"])
    is_primary = attached == experiment.metrics[0]
    family = metric.get("family", Family.PRIMARY if is_primary else "")
    return MetricView(
        id=attached.metric.id,
        name=printable(attached.metric.name),
        wanted=wanted_words(attached),
        family=FAMILIES[Family(family)] if family in set(Family) else readable(family),
        is_primary=is_primary,
        threshold="the margin" if metric.get("margin") else "no effect",
        quantity=quantity,
        arms=tuple(
            ArmView(
                variant=shown(variant),
                identities=quantity.identities(aggregate),
                value=quantity.value(aggregate),
                comparison=_comparison(quantity, metric, variant) if variant in metric["verdict"] else None,
            )
            for variant, aggregate in metric["variants"].items()
        ),
    )


def _comparison(quantity: Quantity, metric: MetricPayload, treatment: str) -> ComparisonView:
    verdict, reason = metric["verdict"][treatment], metric["reason"][treatment]
    adjusted = metric.get("adjusted", {}).get(treatment)
    return ComparisonView(
        plain=_reading(quantity, metric["effect"][treatment], metric["inference"][treatment]),
        adjusted=None
        if adjusted is None or adjusted["effect"] is None
        else _reading(quantity, adjusted["effect"], adjusted["inference"]),
        anytime=_anytime(quantity, metric, treatment),
        p_value=_deciding_p(metric, treatment),
        verdict=verdict,
        verdict_words=readable(verdict),
        tone=VERDICT_TONES.get(verdict, Tone.NEUTRAL),
        reason="" if reason is None else in_words(reason),
        decided_by=ReadingName(metric.get("decided_by", {}).get(treatment, ReadingName.PLAIN)),
    )


def _reading(quantity: Quantity, effect: EffectPayload | None, lift: LiftPayload | None) -> ReadingView:
    lift_text, lift_interval = lift_words(lift)
    relative = None if lift is None else Estimate(lift["lift"], lift["ci_low"], lift["ci_high"])
    if effect is None:
        return ReadingView(lift=lift_text, lift_interval=lift_interval, lift_estimate=relative)
    return ReadingView(
        effect=quantity.signed(effect["value"]),
        effect_interval=quantity.interval(effect["ci_low"], effect["ci_high"]),
        lift=lift_text,
        lift_interval=lift_interval,
        chance_to_win=chance_words(effect["chance_to_win"]),
        effect_estimate=Estimate(effect["value"], effect["ci_low"], effect["ci_high"]),
        lift_estimate=relative,
    )


def _anytime(quantity: Quantity, metric: MetricPayload, treatment: str) -> ReadingView:
    p_value, found = _deciding_p(metric, treatment), verdict_interval(metric, treatment)
    if found is None:
        return ReadingView(p_value=p_value)
    return ReadingView(
        effect=quantity.signed(found.value),
        effect_interval=quantity.interval(found.low, found.high),
        p_value=p_value,
        effect_estimate=found,
    )


def _deciding_p(metric: MetricPayload, treatment: str) -> str:
    """Return the p-value that the verdict rests on."""
    by_treatment: Mapping[str, AnytimePayload | MarginPayload | None] = metric.get("margin", metric.get("anytime", {}))
    found = by_treatment.get(treatment)
    return p_words(None if found is None else found["adjusted_p_value"])


def _deciding_effect(metric: MetricPayload, treatment: str) -> EffectPayload | None:
    """Return the effect by the reading that the verdict is about."""
    adjusted = metric.get("adjusted", {}).get(treatment)
    is_adjusted = metric.get("decided_by", {}).get(treatment) == DecidedBy.ADJUSTED
    return adjusted["effect"] if is_adjusted and adjusted is not None else metric["effect"].get(treatment)
