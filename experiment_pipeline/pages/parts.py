"""Steps, slices and breakdowns of metrics as pages show them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from experiment_pipeline.domain.audience import crossed_name, crossed_values
from experiment_pipeline.domain.experiments import CONTROL, Experiment
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.metrics import Estimate, attached_metrics
from experiment_pipeline.pages.quantities import Quantity, lift_words, readable, shown, value_shown
from experiment_pipeline.pages.tones import VERDICT_TONES, Tone
from experiment_pipeline.results.comparison_payload import LiftPayload
from experiment_pipeline.results.metric_payload import PartPayload, StepPayload
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.results.reasons import briefly
from experiment_pipeline.stats.verdict import Verdict


@dataclass(frozen=True, slots=True)
class PartRow:
    """A treatment against control within one part of a metric. Texts are for tables.

    Attributes:
        adjusted_lift: the lift by the adjusted reading; None where there is none.
        adjusted_interval: of that lift.
        verdict: as the payload has it; None of steps, which have none.
        verdict_words: the verdict and why numbers are withheld, for people; empty where there is nothing to say.
        lift_estimate: the numbers of `lift`, as shares; None where it is withheld.
    """

    treatment: str
    control_identities: str
    control_value: str
    identities: str
    value: str
    lift: str
    lift_interval: str
    adjusted_lift: str | None
    adjusted_interval: str | None
    verdict: Verdict | None
    verdict_words: str
    reason: str
    tone: Tone
    lift_estimate: Estimate | None


@dataclass(frozen=True, slots=True)
class PartView:
    """A step, a slice, or the identities with one value of a dimension.

    Attributes:
        metric: the metric's name.
        kind: "step", "slice", or the name of the dimension.
        value: `"DE"`, `(none)` or `(all others)`; of a step its number and event.
    """

    metric: str
    kind: str
    value: str
    rows: tuple[PartRow, ...]

    @property
    def label(self) -> str:
        """Metric, kind and value in one text."""
        return f"{self.metric}, {self.kind} {self.value}"


def part_views(experiment: Experiment, results: ResultsPayload) -> tuple[PartView, ...]:
    """Return every part of every metric, in the order of the metrics."""
    return tuple(_parts(experiment, results))


def _parts(experiment: Experiment, results: ResultsPayload) -> Iterator[PartView]:
    crossed = {crossed_name(pair) for pair in experiment.audience.cross}
    for of, metric in attached_metrics(experiment, results):
        name, quantity = printable(of.metric.name), Quantity.of(of, metric["variants"])
        for step in metric.get("steps", []):
            label = f"{step['step']} {printable(step['event'])}"
            yield PartView(name, "step", label, tuple(_rows(quantity, step, {}, {})))
        slices = [("slice", metric.get("slices", []))]
        for dimension, parts in chain(slices, metric.get("breakdown", {}).items()):
            for part in parts:
                adjusted = {key: each["inference"] for key, each in part.get("adjusted", {}).items()}
                yield PartView(
                    metric=name,
                    kind=printable(dimension),
                    value=_value(part, is_crossed=dimension in crossed),
                    rows=tuple(_rows(quantity, part, part["verdict"], adjusted)),
                )


def _value(part: PartPayload, *, is_crossed: bool) -> str:
    """Return the value of a part; those of two crossed dimensions with a comma between them."""
    value = part["value"]
    if is_crossed and value is not None:
        return ", ".join(value_shown(each) for each in crossed_values(value))
    return value_shown(value, other=part["other"])


def _rows(
    quantity: Quantity,
    part: StepPayload | PartPayload,
    verdicts: Mapping[str, Verdict],
    adjusted: Mapping[str, LiftPayload | None],
) -> Iterator[PartRow]:
    control = part["variants"][CONTROL]
    for treatment, lift in part["inference"].items():
        arm, verdict, reason = part["variants"][treatment], verdicts.get(treatment), part["reason"][treatment]
        lift_text, interval = lift_words(lift)
        adjusted_lift = adjusted.get(treatment)
        adjusted_texts = (None, None) if adjusted_lift is None else lift_words(adjusted_lift)
        yield PartRow(
            treatment=shown(treatment),
            control_identities=f"{control['n']:,}",
            control_value=quantity.value(control),
            identities=f"{arm['n']:,}",
            value=quantity.value(arm),
            lift=lift_text,
            lift_interval=interval,
            adjusted_lift=adjusted_texts[0],
            adjusted_interval=adjusted_texts[1],
            verdict=verdict,
            verdict_words="" if verdict is None else readable(verdict),
            reason="" if reason is None else briefly(reason),
            tone=Tone.NEUTRAL if verdict is None else VERDICT_TONES.get(verdict, Tone.NEUTRAL),
            lift_estimate=None if lift is None else Estimate(lift["lift"], lift["ci_low"], lift["ci_high"]),
        )
