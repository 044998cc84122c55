"""Metrics by variant in a terminal of any width: a table where it fits, otherwise a block per metric."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from experiment_pipeline.cli.tables import plain
from experiment_pipeline.pages.metrics import (
    ArmView,
    ComparisonView,
    MetricView,
    ReadingView,
)
from experiment_pipeline.stats.verdict import Verdict

VERDICT_STYLES = {
    Verdict.WINNING: "bold green",
    Verdict.OK: "green",
    Verdict.LOSING: "bold red",
    Verdict.HARMED: "bold red",
}
# Of a treatment against control.
TREATMENT_COLUMNS = ("effect", "lift", "{interval}", "chance to win", "p, all looks", "verdict")
NO_CELLS = [""] * len(TREATMENT_COLUMNS)  # of control, and of variants that are not compared
BETWEEN = "    "  # before each number of a block
ANY_WIDTH = 100_000  # columns, more than a table ever has


@dataclass(frozen=True, slots=True)
class ResultsTable:
    """Every metric by variant: n and value, and of treatments effect, lift, chance to win, p-value and verdict.

    Nothing is cut at any width: where the table is wider than the terminal, each metric is a block of lines.
    """

    metrics: tuple[MetricView, ...]
    interval: str

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
        for metric in self.metrics:
            names = [plain(metric.name), Text(f"  {metric.wanted}", style="dim")]
            for variant, cells in _variant_rows(metric):
                table.add_row(names.pop(0) if names else "", Text(variant), *cells)
        return table

    def _blocks(self, width: int) -> Iterator[Text]:
        for metric in self.metrics:
            yield Text.assemble((metric.name, "bold"), (f"  {metric.wanted}", "dim"))
            for variant, cells in _variant_rows(metric):
                yield Text(f"  {variant.strip()}")
                labelled = list(zip(self._labels(), cells, strict=True))
                for part in (labelled[:2], labelled[2:-1], labelled[-1:]):
                    texts = [Text.assemble((f"{label}: ", "dim"), cell) for label, cell in part if cell]
                    yield from _filled(texts, width)

    def _labels(self) -> list[str]:
        return ["n", "value", *(name.format(interval=self.interval) for name in TREATMENT_COLUMNS)]


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


def _variant_rows(metric: MetricView) -> Iterator[tuple[str, list[str | Text]]]:
    """Yield each variant with its cells, one per label; empty ones are of control. Its adjusted reading follows."""
    for arm in metric.arms:
        yield arm.variant, _cells(arm)
        if arm.comparison is not None and arm.comparison.adjusted is not None:
            yield "  adjusted", ["", "", *_number_cells(arm.comparison.adjusted), "", ""]


def _cells(arm: ArmView) -> list[str | Text]:
    return [arm.identities, arm.value, *(NO_CELLS if arm.comparison is None else _treatment_cells(arm.comparison))]


def _treatment_cells(compared: ComparisonView) -> list[str | Text]:
    verdict = Text(compared.verdict_words, style=VERDICT_STYLES.get(compared.verdict, ""))
    return [*_number_cells(compared.plain), compared.p_value, verdict]


def _number_cells(reading: ReadingView) -> list[str]:
    return [reading.effect, reading.lift, reading.lift_interval, reading.chance_to_win]
