"""Metrics by variant in a terminal of any width: a table where it fits, otherwise a block per metric."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from experiment_pipeline.cli.tables import plain
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.metrics import AttachedMetric, Direction, ExpectedDirection
from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.results.comparison_payload import (
    AnytimePayload,
    EffectPayload,
    LiftPayload,
    MarginPayload,
    VariantPayload,
)
from experiment_pipeline.results.metric_payload import MetricPayload
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.stats.verdict import Verdict

VERDICT_STYLES = {
    Verdict.WINNING: "bold green",
    Verdict.OK: "green",
    Verdict.LOSING: "bold red",
    Verdict.HARMED: "bold red",
}
EXPECTATIONS = {
    ExpectedDirection.INCREASE: "expected to rise",
    ExpectedDirection.DECREASE: "expected to fall",
    ExpectedDirection.NOT_INCREASE: "must not rise",
    ExpectedDirection.NOT_DECREASE: "must not fall",
}
# Of a treatment against control.
TREATMENT_COLUMNS = ("effect", "lift", "{interval}", "chance to win", "p, all looks", "verdict")
NO_CELLS = [""] * len(TREATMENT_COLUMNS)  # of control, and of variants that are not compared
VARIANT_SHOWN = 60  # characters
BETWEEN = "    "  # before each number of a block
WITHHELD = "–"
DIGITS = 5  # of a metric's value
SMALLEST_P, NEARLY_0 = 0.0001, "< 0.0001"  # a smaller p-value is neither written out nor rounded to 0
ANY_WIDTH = 100_000  # columns, more than a table ever has


@dataclass(frozen=True, slots=True)
class ResultsTable:
    """Every metric by variant: n and value, and of treatments effect, lift, chance to win, p-value and verdict.

    Nothing is cut at any width: where the table is wider than the terminal, each metric is a block of lines.
    """

    experiment: Experiment
    results: ResultsPayload

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or the blocks where it does not fit."""
        table = self._table()
        wanted = Measurement.get(console, options.update(width=ANY_WIDTH), table).maximum
        if wanted <= options.max_width:
            yield table
        else:
            yield from self._blocks(options.max_width)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column("metric", no_wrap=True)
        table.add_column("variant", no_wrap=True)
        *numbers, verdict = self._labels()
        for name in numbers:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column(verdict, no_wrap=True)
        for attached, metric in self._metrics():
            names = [plain(attached.metric.name), Text(f"  {_wanted(attached)}", style="dim")]
            for variant, cells in _variant_rows(attached, metric):
                table.add_row(names.pop(0) if names else "", Text(variant), *cells)
        return table

    def _blocks(self, width: int) -> Iterator[Text]:
        for attached, metric in self._metrics():
            yield Text.assemble((printable(attached.metric.name), "bold"), (f"  {_wanted(attached)}", "dim"))
            for variant, cells in _variant_rows(attached, metric):
                yield Text(f"  {variant.strip()}")
                labelled = list(zip(self._labels(), cells, strict=True))
                for part in (labelled[:2], labelled[2:-1], labelled[-1:]):
                    texts = [Text.assemble((f"{label}: ", "dim"), cell) for label, cell in part if cell]
                    yield from _filled(texts, width)

    def _labels(self) -> list[str]:
        interval = f"{100 * (1 - self.experiment.design.alpha):g} % interval"
        return ["n", "value", *(name.format(interval=interval) for name in TREATMENT_COLUMNS)]

    def _metrics(self) -> Iterator[tuple[AttachedMetric, MetricPayload]]:
        attached = {each.metric.id: each for each in self.experiment.metrics}
        for metric in self.results["metrics"]:
            yield attached[metric["metric_id"]], metric


def _filled(texts: list[Text], width: int) -> Iterator[Text]:
    """Yield indented lines of as many texts as fit; none is broken where it fits alone."""
    line = Text()
    for text in texts:
        if line and len(line) + len(BETWEEN) + len(text) > width:
            yield line
            line = Text()
        line = Text.assemble(line, BETWEEN, text)
    if line:
        yield line


def _variant_rows(attached: AttachedMetric, metric: MetricPayload) -> Iterator[tuple[str, list[str | Text]]]:
    """Yield each variant with its cells, one per label; empty ones are of control. Its adjusted reading follows."""
    quantity = Quantity.of(attached, metric["variants"])
    for variant, aggregate in metric["variants"].items():
        compared = _treatment_cells(quantity, metric, variant) if variant in metric["verdict"] else NO_CELLS
        yield shown(variant), [quantity.identities(aggregate), quantity.value(aggregate), *compared]
        adjusted = metric.get("adjusted", {}).get(variant)
        if adjusted is not None and adjusted["effect"] is not None:
            numbers = _number_cells(quantity, adjusted["effect"], adjusted["inference"])
            yield "  adjusted", ["", "", *numbers, "", ""]


def _wanted(attached: AttachedMetric) -> str:
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


def _treatment_cells(quantity: "Quantity", metric: MetricPayload, treatment: str) -> list[str | Text]:
    verdict = metric["verdict"][treatment]
    return [
        *_number_cells(quantity, metric["effect"][treatment], metric["inference"][treatment]),
        _p_value(metric.get("margin", metric.get("anytime", {})).get(treatment)),
        Text(verdict.replace("_", " "), style=VERDICT_STYLES.get(verdict, "")),
    ]


def _number_cells(quantity: "Quantity", effect: EffectPayload | None, inference: LiftPayload | None) -> list[str]:
    return [
        quantity.signed(effect["value"]) if effect else WITHHELD,
        f"{100 * inference['lift']:+.2f} %" if inference else WITHHELD,
        f"{100 * inference['ci_low']:+.2f} to {100 * inference['ci_high']:+.2f} %" if inference else WITHHELD,
        chance_words(effect["chance_to_win"]) if effect else WITHHELD,
    ]


def chance_words(chance: float) -> str:
    """Return a chance in percent; nearly certain is not rounded to certain."""
    if chance < 0.0001:
        return "< 0.01 %"
    return "> 99.99 %" if chance > 0.9999 else f"{100 * chance:.2f} %"


def _p_value(anytime: AnytimePayload | MarginPayload | None) -> str:
    """Return the p-value that the verdict rests on."""
    p_value = None if anytime is None else anytime["adjusted_p_value"]
    if p_value is None:
        return WITHHELD
    return NEARLY_0 if p_value < SMALLEST_P else f"{p_value:.4f}"


def value_of(aggregate: VariantPayload) -> float | None:
    """Return what a metric comes to in a variant: its mean, ratio or quantile; None where it cannot be given."""
    if "value" in aggregate:
        return aggregate["value"]
    return None if aggregate["sum"] is None or not aggregate["n"] else aggregate["sum"] / aggregate["n"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """Format of one metric's numbers: shares in per cent, others with the decimals that the largest one needs."""

    is_share: bool
    decimals: int | None  # None: too large or too small to be written out

    @classmethod
    def of(cls, attached: AttachedMetric, variants: Mapping[str, VariantPayload]) -> "Quantity":
        """Return the format of a metric, by what it comes to in its variants."""
        values = [abs(value) for each in variants.values() if (value := value_of(each))]
        magnitude = math.floor(math.log10(max(values))) if values else 0
        written_out = -4 <= magnitude <= 14
        return cls(attached.metric.is_proportion, max(0, DIGITS - 1 - magnitude) if written_out else None)

    def identities(self, aggregate: VariantPayload) -> str:
        """Return the identities of a variant, of a share after those that have it."""
        converted = f"{round(aggregate['sum']):,} of " if self.is_share and aggregate["sum"] is not None else ""
        return f"{converted}{aggregate['n']:,}"

    def value(self, aggregate: VariantPayload) -> str:
        """Return what the metric comes to in a variant."""
        value = value_of(aggregate)
        if value is None:
            return WITHHELD
        return f"{100 * value:.3f} %" if self.is_share else f"{value:{self._format}}"

    def signed(self, value: float) -> str:
        """Return a difference with its sign."""
        return f"{100 * value:+.3f} points" if self.is_share else f"{value:+{self._format}}"

    def unsigned(self, value: float) -> str:
        """Return a size without a sign, of the same digits."""
        return self.signed(value).removeprefix("+")

    @property
    def _format(self) -> str:
        return f".{DIGITS - 1}e" if self.decimals is None else f",.{self.decimals}f"


def shown(variant: str) -> str:
    """Return a variant's key, which may be a text that a sender made up, short enough for a line."""
    return printable(shortened(variant, VARIANT_SHOWN))


def readable(reason: str) -> str:
    """Return a reason's stable word as a phrase."""
    return reason.replace("_", " ")
