"""Withheld numbers: which values cannot be read, and why a comparison has no numbers."""

from collections.abc import Iterator, Mapping, Sequence

from experiment_pipeline.domain.aggregates import are_unreadable
from experiment_pipeline.domain.experiments import CONTROL, Experiment
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.metrics import attached_metrics
from experiment_pipeline.pages.quantities import shown
from experiment_pipeline.pages.tones import Line, Tone
from experiment_pipeline.results.metric_payload import MetricPayload
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.results.reasons import in_words


def unreadable_lines(experiment: Experiment, results: ResultsPayload) -> Iterator[Line]:
    """Yield of which metric how many values were no numbers (rule E5): the table is about the others."""
    for of, metric in attached_metrics(experiment, results):
        values = metric.get("values", {})
        for variant, invalid in metric.get("invalid_values", {}).items():
            if invalid:
                where = f"{printable(of.metric.name)}, {shown(variant)}"
                counts = f"{invalid:,} of {values[variant]:,} values are no numbers and do not count"
                tone = Tone.BAD if are_unreadable(values[variant], invalid) else Tone.WARNING
                yield Line(f"unreadable: {where}: {counts}", tone)


def withheld_lines(experiment: Experiment, results: ResultsPayload, floors: Floors) -> Iterator[Line]:
    """Yield of which treatment on which metric numbers are withheld, and why.

    Args:
        experiment: with the metrics of the results.
        results: of one look.
        floors: of the installation; they are named where an arm has less.
    """
    for of, metric in attached_metrics(experiment, results):
        for treatment, reason in metric["reason"].items():
            if reason is not None:
                where = f"{printable(of.metric.name)}, {shown(treatment)}"
                yield Line(f"withheld: {where}: {_shortfall(reason, metric, treatment, floors)}", Tone.WARNING)


def _shortfall(reason: str, metric: MetricPayload, treatment: str, floors: Floors) -> str:
    """Return a reason in words; of a floor, how much each arm has and how much it needs."""
    arms = (CONTROL, treatment)
    if reason == "below_minimum_identities":
        what, floor = "identities", floors.identities
        has: list[float | None] = [metric["variants"][arm]["n"] for arm in arms]
    elif reason == "below_minimum_conversions":
        what, floor = "conversions", floors.conversions
        has = [metric["variants"][arm]["sum"] for arm in arms]
    elif reason == "below_minimum_nonzero":
        floor = floors.nonzero
        what, has = _fewest_nonzero(metric, arms)
    else:
        return in_words(reason)
    counts = [f"{shown(arm)} {number:,.0f}" for arm, number in zip(arms, has, strict=True) if number is not None]
    if len(counts) < len(arms):
        return in_words(reason)
    return f"too few {what}: {', '.join(counts)}; each arm needs {floor:,}"


def _fewest_nonzero(metric: MetricPayload, arms: Sequence[str]) -> tuple[str, list[float | None]]:
    """Return which identities that are not 0 are the fewest, and how many each arm has: of a ratio those of one side.

    None where a payload that an older version wrote did not count them.
    """

    def counts(of: Mapping[str, int]) -> list[float | None]:
        return [of.get(arm) for arm in arms]

    numerators = metric.get("nonzero", {})
    if (denominators := metric.get("nonzero_denominator")) is None:
        return "identities with a value that is not 0", counts(numerators)
    fewest = min(numerators, denominators, key=lambda side: min(side.get(arm, 0) for arm in arms))
    side = "numerator" if fewest is numerators else "denominator"
    return f"identities whose {side} is not 0", counts(fewest)
