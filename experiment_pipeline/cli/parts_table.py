"""Steps, slices and breakdowns of every metric: a table where it fits the terminal, otherwise a line each."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from experiment_pipeline.cli.results_table import ANY_WIDTH, VERDICT_STYLES
from experiment_pipeline.domain.experiments import CONTROL
from experiment_pipeline.pages.parts import PartRow, PartView
from experiment_pipeline.pages.quantities import WITHHELD


@dataclass(frozen=True, slots=True)
class PartsTable:
    """Every part of every metric: control and each treatment, the lift, and the verdict if it has one."""

    parts: tuple[PartView, ...]
    interval: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or lines where it does not fit; nothing where no metric has parts."""
        if not self.parts:
            return
        table = self._table()
        if Measurement.get(console, options.update(width=ANY_WIDTH), table).maximum <= options.max_width:
            yield Text()
            yield table
        else:
            yield from (line for part in self.parts for line in _lines(part))

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column("part of a metric", no_wrap=True)
        table.add_column("treatment", no_wrap=True)
        for name in ("n of control", "control", "n", "value", "lift", self.interval):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for part in self.parts:
            labels = [part.label]
            for cells in _rows(part):
                table.add_row(labels.pop() if labels else "", *cells)
        return table


def _rows(part: PartView) -> Iterator[list[str | Text]]:
    """Yield a row for each treatment, and one for its adjusted reading."""
    for row in part.rows:
        arms = [row.control_identities, row.control_value, row.identities, row.value]
        yield [row.treatment, *arms, row.lift, row.lift_interval, _verdict(row)]
        if row.adjusted_lift is not None:
            yield ["  adjusted", *[""] * len(arms), row.adjusted_lift, row.adjusted_interval or "", ""]


def _verdict(row: PartRow) -> Text:
    style = "" if row.verdict is None else VERDICT_STYLES.get(row.verdict, "")
    return Text(", ").join(Text(text, style) for text, style in ((row.verdict_words, style), (row.reason, "")) if text)


def _lines(part: PartView) -> Iterator[Text]:
    """Yield a line for each treatment, and one for its adjusted reading."""
    for row in part.rows:
        control = f"{CONTROL} {row.control_value} of {row.control_identities}"
        values = f"{control}, {row.treatment} {row.value} of {row.identities}"
        lift = _lift_words(row.lift, row.lift_interval)
        line = Text.assemble((f"{part.label}: ", "dim"), f"{values}, lift {lift}")
        verdict = _verdict(row)
        yield Text.assemble(line, ", ", verdict) if verdict else line
        if row.adjusted_lift is not None:
            label = f"{part.label}, {row.treatment} adjusted: "
            adjusted = _lift_words(row.adjusted_lift, row.adjusted_interval or "")
            yield Text.assemble((label, "dim"), f"lift {adjusted}")


def _lift_words(value: str, interval: str) -> str:
    return value if value == WITHHELD else f"{value} ({interval})"
