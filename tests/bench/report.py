"""What the bench found, as a table on the screen and as docs/benchmarks.md."""

from dataclasses import dataclass, field
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians of one process's runs; rows are what it computed."""

    seconds: float
    processor_seconds: float
    peak_kib: int
    rows: list[Any]
    version: str = ""
    events: int = 0

    def per(self, other: "Measured") -> tuple[float, float]:
        """Return how long this took for each second of the other: wall-clock time and processor time."""
        return self.seconds / other.seconds, self.processor_seconds / other.processor_seconds


@dataclass(slots=True)
class Report:
    """One run of the bench."""

    events: int
    threads: int
    seconds: float = 0.0
    before: Measured | None = None
    after: Measured | None = None
    sensitive: Measured | None = None
    limit: Measured | None = None
    peer: Measured | None = None
    sets: dict[str, Measured] = field(default_factory=dict)
    ingestion: Measured | None = None
    growth: list[tuple[int, Measured]] = field(default_factory=list)

    def lines(self) -> list[tuple[str, str, str, str, str]]:
        """Return the table: name, seconds, processor seconds, peak memory, and the target with what was reached."""
        rows = []
        named = [
            ("the peer's query (ClickHouse engine)", self.peer),
            ("ours, before compaction", self.before),
            ("ours, after compaction", self.after),
            ("ours, after compaction, with sensitivity", self.sensitive),
            ("the engine's limit, same files", self.limit),
        ]
        for name, measured in named:
            if measured is not None:
                rows.append((name, *_figures(measured), ""))
        for name, mine, theirs, target in [
            ("ours / peer, before compaction", self.before, self.peer, "at most 0.250"),
            ("ours / peer, after compaction", self.after, self.peer, "at most 0.167"),
            ("ours / limit, after compaction", self.after, self.limit, "at most 4"),
            ("with sensitivity / without", self.sensitive, self.after, "at most 1.3"),
        ]:
            if mine is not None and theirs is not None:
                clock, processor = mine.per(theirs)
                rows.append((name, f"{clock:.3f}", f"{processor:.3f}", "", target))
        rows += self._set_lines()
        for (fewer, small), (more, large) in zip(self.growth, self.growth[1:], strict=False):
            clock, processor = large.per(small)
            name = f"growth, {fewer:,} to {more:,} events"
            rows.append((name, f"{clock:.2f}", f"{processor:.2f}", "", "at most 4.6"))
        if self.ingestion is not None:
            rate = self.ingestion.events / self.ingestion.seconds
            rows.append((f"ingestion of {self.ingestion.events:,} events", *_figures(self.ingestion), ""))
            rows.append(("ingestion, events a second", f"{rate:,.0f}", "", "", "at least 150,000"))
        return rows

    def _set_lines(self) -> list[tuple[str, str, str, str, str]]:
        """Return what other metrics cost beside the four, over the same files."""
        rows = []
        for name, what, target in SETS:
            if self.after is not None and name in self.sets:
                clock, processor = self.sets[name].per(self.after)
                memory = _figures(self.sets[name])[2]
                rows.append((f"{what} / the four", f"{clock:.3f}", f"{processor:.3f}", memory, target))
        return rows

    def table(self) -> Table:
        """For the screen."""
        title = f"{self.events:,} events, {self.threads} threads; the whole bench took {self.seconds:.0f} s"
        table = Table("what", title=title, title_justify="left")
        for heading in HEADINGS[1:]:
            table.add_column(heading, justify="right")
        for row in self.lines():
            table.add_row(*row)
        return table


SETS = (
    ("self-check", "the four, with the self-check", "at most 1.3"),
    ("eight", "eight measures of two events", "at most 1.6, 2,048 MiB"),
    ("condition", "the four, one with a condition on a trait", "at most 1.5, 2,048 MiB"),
    ("dimension", "the four, broken down by a trait", "2,048 MiB"),
)
HEADINGS = ("what", "wall-clock time", "processor time", "peak memory", "target")


def markdown(report: Report, machine: dict[str, str]) -> str:
    """docs/benchmarks.md: the same table, and what it was measured on."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. Seconds are medians of runs on the same data with the same threads. Wall-clock time",
        "includes waiting for other work on the machine; processor time, summed over all threads, does not.",
        "What is measured, and the peer's query: `tests/bench/`. The targets are for 23 million events, which are",
        "`make bench IDENTITIES=1000000`; with fewer, the fixed cost of a refresh weighs more.",
        "The programs run alternately, so that other load on the machine affects all of them alike.",
        "Traits and metadata are columns that are read only where a condition or a dimension asks: the last rows but",
        "those of growth show what that costs. Compared with an older commit: `python -m tests.bench.compared`, whose",
        "figures are in [performance.md](performance.md).",
        "",
        f"{report.events:,} events (exposures of three variants, five kinds of metric events, 14 days), four metrics,",
        f"{report.threads} threads. The whole bench took {report.seconds:.0f} s.",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "| --- | ---: | ---: | ---: | ---: |",
        *("| " + " | ".join(row) + " |" for row in report.lines()),
        "",
        "Measured on:",
        "",
        *(f"- {name}: {value}" for name, value in machine.items()),
    ]
    if report.peer is not None:
        lines.append(f"- peer: {report.peer.version}")
    return "\n".join(lines) + "\n"


def with_sections_of(page: str, before: str) -> str:
    """Return a page with the sections of an older one, which other measurements have written."""
    head, *sections = before.split("\n## ")
    return page + "".join(f"\n## {each}" for each in sections) if head else page


def replace_section(page: str, title: str, text: str) -> str:
    """Return a page with the section of a title replaced, or added at its end."""
    head, *sections = page.rstrip("\n").split("\n## ")
    kept = [each.rstrip("\n") for each in sections if not each.startswith(f"{title}\n")]
    return "\n\n## ".join([head.rstrip("\n"), *kept, f"{title}\n{text.rstrip()}"]) + "\n"


def _figures(measured: Measured) -> tuple[str, str, str]:
    return f"{measured.seconds:.3f} s", f"{measured.processor_seconds:.3f} s", f"{measured.peak_kib / 1024:,.0f} MiB"
