"""Steps, slices and breakdowns of every metric: a table where it fits the terminal, otherwise a line each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from experiment_pipeline.cli.results_table import ANY_WIDTH, VERDICT_STYLES, WITHHELD, Quantity, readable, shown
from experiment_pipeline.domain.audience import crossed_name, crossed_values
from experiment_pipeline.domain.experiments import CONTROL, Experiment
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.results.comparison_payload import LiftPayload, VariantPayload
from experiment_pipeline.results.metric_payload import PartPayload, StepPayload
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.results.reasons import briefly
from experiment_pipeline.stats.verdict import Verdict


@dataclass(frozen=True, slots=True)
class PartsTable:
    """Every part of every metric: control and each treatment, the lift, and the verdict if it has one."""

    experiment: Experiment
    results: ResultsPayload

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or lines where it does not fit; nothing where no metric has parts."""
        parts = list(_parts(self.experiment, self.results))
        if not parts:
            return
        table = self._table(parts)
        if Measurement.get(console, options.update(width=ANY_WIDTH), table).maximum <= options.max_width:
            yield Text()
            yield table
        else:
            yield from (line for part in parts for line in _lines(part))

    def _table(self, parts: "list[_Part]") -> Table:
        interval = f"{100 * (1 - self.experiment.design.alpha):g} % interval"
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column("part of a metric", no_wrap=True)
        table.add_column("treatment", no_wrap=True)
        for name in ("n of control", "control", "n", "value", "lift", interval):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for part in parts:
            labels = [part.label]
            for cells in _rows(part):
                table.add_row(labels.pop() if labels else "", *cells)
        return table


@dataclass(frozen=True, slots=True)
class _Part:
    """A step, a slice, or the identities with one value of a dimension; a step has no verdicts."""

    label: str
    quantity: Quantity
    payload: StepPayload | PartPayload
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    adjusted: Mapping[str, LiftPayload | None] = field(default_factory=dict)


def value_shown(value: str | None, *, other: bool = False) -> str:
    """Return a value so that no value reads like the lack of one, or like the rest."""
    if other:
        return "(all others)"
    return "(none)" if value is None else f'"{shown(value)}"'


def _part_shown(part: PartPayload, *, is_crossed: bool) -> str:
    """Return the value of a part; those of two crossed dimensions with a comma between them."""
    value = part["value"]
    if is_crossed and value is not None:
        return ", ".join(value_shown(each) for each in crossed_values(value))
    return value_shown(value, other=part["other"])


def _parts(experiment: Experiment, results: ResultsPayload) -> Iterator[_Part]:
    attached = {each.metric.id: each for each in experiment.metrics}
    for metric in results["metrics"]:
        of = attached[metric["metric_id"]]
        name, quantity = printable(of.metric.name), Quantity.of(of, metric["variants"])
        for step in metric.get("steps", []):
            yield _Part(f"{name}, step {step['step']} {printable(step['event'])}", quantity, step)
        slices = [("slice", metric.get("slices", []))]
        crossed = {crossed_name(pair) for pair in experiment.audience.cross}
        for dimension, parts in chain(slices, metric.get("breakdown", {}).items()):
            for part in parts:
                label = f"{name}, {printable(dimension)} {_part_shown(part, is_crossed=dimension in crossed)}"
                adjusted = {key: each["inference"] for key, each in part.get("adjusted", {}).items()}
                yield _Part(label, quantity, part, part["verdict"], adjusted)


def _rows(part: _Part) -> Iterator[list[str | Text]]:
    """Yield a row for each treatment, and one for its adjusted reading."""
    for treatment, lift in part.payload["inference"].items():
        arms = [cell for key in (CONTROL, treatment) for cell in _arm(part, key)]
        yield [shown(treatment), *arms, *_lift(lift), _verdict(part, treatment)]
        if adjusted := part.adjusted.get(treatment):
            yield ["  adjusted", *[""] * len(arms), *_lift(adjusted), ""]


def _arm(part: _Part, variant: str) -> tuple[str, str]:
    arm: VariantPayload = part.payload["variants"][variant]
    return f"{arm['n']:,}", part.quantity.value(arm)


def _lift(lift: LiftPayload | None) -> tuple[str, str]:
    if lift is None:
        return WITHHELD, WITHHELD
    return f"{100 * lift['lift']:+.2f} %", f"{100 * lift['ci_low']:+.2f} to {100 * lift['ci_high']:+.2f} %"


def _verdict(part: _Part, treatment: str) -> Text:
    verdict, reason = part.verdicts.get(treatment), part.payload["reason"][treatment]
    words = [] if verdict is None else [Text(readable(verdict), style=VERDICT_STYLES.get(verdict, ""))]
    return Text(", ").join([*words, *([] if reason is None else [Text(briefly(reason))])])


def _lines(part: _Part) -> Iterator[Text]:
    """Yield a line for each treatment, and one for its adjusted reading."""
    for treatment, lift in part.payload["inference"].items():
        arms = ((key, *_arm(part, key)) for key in (CONTROL, treatment))
        values = ", ".join(f"{shown(key)} {value} of {n}" for key, n, value in arms)
        line = Text.assemble((f"{part.label}: ", "dim"), f"{values}, lift {_lift_words(lift)}")
        verdict = _verdict(part, treatment)
        yield Text.assemble(line, ", ", verdict) if verdict else line
        if adjusted := part.adjusted.get(treatment):
            yield Text.assemble(
                (f"{part.label}, {shown(treatment)} adjusted: ", "dim"), f"lift {_lift_words(adjusted)}"
            )


def _lift_words(lift: LiftPayload | None) -> str:
    value, interval = _lift(lift)
    return value if lift is None else f"{value} ({interval})"
