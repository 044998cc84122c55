"""True lifts of the demo's simulated experiments beside those that were found, in a terminal of 100 columns."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from experiment_pipeline.cli.results_table import VERDICT_STYLES
from experiment_pipeline.pages.quantities import WITHHELD, readable, value_shown

if TYPE_CHECKING:  # SciPy takes its time: other commands do without
    from experiment_pipeline.demo.comparison import Compared

WIDTHS = {"true lift": 9, "found": 8, "95 % interval": 19}
WIDTH_OF_TITLE = 36
NONE = "none"  # no effect: not one that is rounded to 0
MISSED = "missed"


def truth_lines(rows: "Sequence[Compared]") -> Iterator[Text | Table]:
    """Yield a table for each experiment, treatment and part, and how many intervals hold the true lift."""
    for title, of in groupby(rows, _title):
        yield _table(title, list(of))
        yield Text()
    read = [each for each in rows if each.found is not None]
    holding = sum(each.covers for each in read)
    yield Text(f"{holding} of {len(read)} intervals hold the true lift; at 95 % each, {0.95 * len(read):.0f} should.")


def _title(row: "Compared") -> str:
    if row.part is None:
        return f"{row.experiment}, {row.treatment}"
    dimension, value = row.part
    return f"{row.experiment}, {dimension} {value_shown(value)}"


def _table(title: str, rows: "Sequence[Compared]") -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column(Text(title, style="not dim bold"), no_wrap=True, min_width=WIDTH_OF_TITLE)
    for name, width in WIDTHS.items():
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        lift = NONE if row.true_lift == 0 else _signed(row.true_lift)
        table.add_row(f"  {row.metric}", lift, *_found(row), _verdict(row))
    return table


def _found(row: "Compared") -> tuple[str, str]:
    if row.found is None:
        return WITHHELD, WITHHELD
    found = row.found
    return _signed(found["lift"]), f"{100 * found['ci_low']:+.1f} to {100 * found['ci_high']:+.1f} %"


def _verdict(row: "Compared") -> Text:
    words = [] if row.verdict is None else [Text(readable(row.verdict), style=VERDICT_STYLES.get(row.verdict, ""))]
    if row.found is not None and not row.covers:
        words.append(Text(MISSED, style="yellow"))
    return Text(", ").join(words)


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %"
