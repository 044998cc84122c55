"""An experiment as Markdown: for Dagster's asset pages, and for whoever pastes a report into an issue or a wiki.

Every text of somebody else is escaped (`escaped`), so that it is shown as it is.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from experiment_pipeline.domain.texts import shortened
from experiment_pipeline.pages.metrics import ArmView, MetricView, ReadingName, ReadingView
from experiment_pipeline.pages.pictures import (
    exposures_picture,
    forest_picture,
    looks_picture,
    planned_looks_picture,
)
from experiment_pipeline.pages.quantities import readable
from experiment_pipeline.pages.split import ExposuresView, split_lines
from experiment_pipeline.pages.svg import data_uri
from experiment_pipeline.pages.tones import Line, Tone
from experiment_pipeline.pages.view import ExperimentView, ResultsView

NAME_SHOWN = 80  # characters of a name of somebody else
LINE_SHOWN = 600  # of a sentence that holds such names
SPECIAL = re.compile(r"([\\`*_\[\]<>|~&#$^])")
OPENING = re.compile(r"^(\d*)([-+=.)])")  # of a list or of a line below a heading, where a text begins its line
LINKED = re.compile(r"(?i)(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)")  # renderers make links of addresses without being asked
WORD_JOINER = "\u2060"  # not seen
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
ISOLATE, END_OF_ISOLATE = "\u2068", "\u2069"  # what is written from right to left turns nothing else round


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of an experiment a text holds.

    Attributes:
        characters: at most; parts that would exceed it are left out and named.
        rows: of the table of metrics.
        notes: lines of each kind below it.
        pictures: whether there are any.
    """

    characters: int = 400_000
    rows: int = 1_000
    notes: int = 1_000
    pictures: bool = True


WHOLE = Extent()


def experiment_markdown(view: ExperimentView, extent: Extent = WHOLE) -> str:
    """Return an experiment as a page of Markdown: decision, split, metrics, pictures, looks, findings, provenance."""
    parts = [_heading(view)]
    if view.results is not None:
        parts += _parts_of_results(view, view.results, extent)
    parts.append(("Findings", _findings(view, extent)))
    if view.results is not None:
        parts.append(("How the numbers came about", _provenance(view.results)))
    return _joined(parts, extent)


def exposures_markdown(exposures: ExposuresView, split: Iterable[Line] = (), *, pictures: bool = True) -> str:
    """Return who was exposed, as Markdown: a sentence, a table of the variants, and a picture."""
    total = sum(counts[-1] for counts in exposures.cumulative.values() if counts)
    rows = [
        [
            escaped(variant),
            f"{counts[-1] if counts else 0:,}",
            f"{100 * counts[-1] / total:.2f} %" if total else "–",
            f"{100 * exposures.expected_shares[variant]:.4g} %" if variant in exposures.expected_shares else "–",
        ]
        for variant, counts in exposures.cumulative.items()
    ]
    parts = [f"{escaped(exposures.summary, LINE_SHOWN)}.", *map(_line, split)]
    parts.append(_table(["variant", "identities", "share", "configured"], ("---", "---:", "---:", "---:"), rows))
    if pictures:
        parts.append(_picture("Identities so far by variant, and the configured split", exposures_picture(exposures)))
    return "\n\n".join(parts)


def escaped(text: str, characters: int = NAME_SHOWN) -> str:
    r"""Return a text on one line as Markdown that shows it as it is: neither markup, nor a link, nor a cell's end.

    Example:
        >>> escaped("a|b *c*")
        'a\\|b \\*c\\*'
    """
    shown = LINKED.sub(WORD_JOINER, shortened(text, characters))
    safe = OPENING.sub(r"\1\\\2", SPECIAL.sub(r"\\\1", shown.strip()))
    return f"{ISOLATE}{safe}{END_OF_ISOLATE}" if RIGHT_TO_LEFT.search(text) else safe


def _heading(view: ExperimentView) -> tuple[str, str]:
    lines = [f"# {escaped(view.name)}", f"`{view.key}` in `{view.environment}`, {view.status}"]
    if view.hypothesis:
        lines.append(f"*{escaped(view.hypothesis, LINE_SHOWN)}*")
    lines += [f"**{escaped(line.text, LINE_SHOWN)}**" for line in view.alerts]
    if view.failure:
        lines.append(f"**{escaped(view.failure)}**")
    return "", "\n\n".join(lines)


def _parts_of_results(view: ExperimentView, results: ResultsView, extent: Extent) -> Iterator[tuple[str, str]]:
    yield "Decision", _decision(results)
    yield "Split", _split(results)
    yield "Metrics", _metrics(results, extent)
    if extent.pictures:
        yield from _pictures(view, results)
    yield "At every look", _every_look(results, extent)
    yield "Breakdowns", _breakdowns(results, extent)
    yield "Looks", _looks(view, extent)
    yield "Notes", _list([*results.unreadable, *results.withheld, *results.sensitivity, *results.notes], extent)


def _pictures(view: ExperimentView, results: ResultsView) -> Iterator[tuple[str, str]]:
    if results.metrics:
        picture = forest_picture(results.metrics, results.interval)
        yield "", _picture("Lift of every treatment on every metric, with its interval", picture)
    if view.primary is not None and view.looks:
        picture = looks_picture(view.looks, view.primary)
        yield "", _picture("Effect on the primary metric over the looks", picture)
    if results.planned_looks:
        picture = planned_looks_picture(results.planned_looks)
        yield "", _picture("Planned looks, and the boundary that decides", picture)
    if results.exposures is not None:
        picture = exposures_picture(results.exposures)
        yield "", _picture("Identities so far by variant, and the configured split", picture)


def _joined(parts: Iterable[tuple[str, str]], extent: Extent) -> str:
    """Return the parts that fit; those that do not are named at the end."""
    texts: list[str] = []
    left_out: list[str] = []
    size = 0
    for title, text in parts:
        if not text:
            continue
        whole = f"## {title}\n\n{text}" if title else text
        if size + len(whole) > extent.characters:
            left_out.append(title or "a picture")
            continue
        texts.append(whole)
        size += len(whole) + 2
    if left_out:
        texts.append(f"Left out here, as it is too long: {', '.join(left_out)}.")
    return "\n\n".join(texts) + "\n"


def _decision(results: ResultsView) -> str:
    decision = results.decision
    if decision is None:
        return ""
    words = f" {decision.rule_in_words}" if decision.rule_in_words else ""
    lines = [
        f"**{escaped(decision.action)}**: {escaped(decision.why, LINE_SHOWN)}",
        f"Rule {escaped(decision.rule)}.{words}",
    ]
    several = [
        f"- {escaped(each.subject)}: **{escaped(each.action)}**: {escaped(each.why, LINE_SHOWN)} "
        f"(rule {escaped(each.rule)})"
        for each in decision.by_treatment
    ]
    return "\n\n".join([*lines, *(["\n".join(several)] if several else [])])


def _split(results: ResultsView) -> str:
    lines = [_line(line) for line in split_lines(results.split)]
    if results.exposures is not None:
        lines.append(f"{escaped(results.exposures.summary, LINE_SHOWN)}.")
    return "\n\n".join(lines)


def _metrics(results: ResultsView, extent: Extent) -> str:
    heads = ["metric", "variant", "n", "value", "effect", "lift", results.interval, "chance to win", "p, all looks"]
    rows = [row for metric in results.metrics for row in _metric_rows(metric)]
    table = _table([*heads, "verdict"], ("---", "---", *["---:"] * 7, "---"), rows[: extent.rows])
    return _with_rest(table, len(rows) - extent.rows, "rows")


def _metric_rows(metric: MetricView) -> Iterator[list[str]]:
    first = f"**{escaped(metric.name)}**, {escaped(metric.wanted)}"
    for arm in metric.arms:
        yield [first, escaped(arm.variant), arm.identities, _whole(arm.value), *_comparison_cells(arm)]
        first = ""
        if arm.comparison is not None and arm.comparison.adjusted is not None:
            reading = arm.comparison.adjusted
            yield ["", "*adjusted*", "", "", *_reading_cells(reading), "", ""]


def _comparison_cells(arm: ArmView) -> list[str]:
    compared = arm.comparison
    if compared is None:
        return [""] * 6
    verdict = f"**{escaped(compared.verdict_words)}**"
    reason = f": {escaped(compared.reason, LINE_SHOWN)}" if compared.reason else ""
    return [*_reading_cells(compared.plain), _whole(compared.p_value), f"{verdict}{reason}"]


def _reading_cells(reading: ReadingView) -> list[str]:
    return [_whole(reading.effect), _whole(reading.lift), reading.lift_interval, _whole(reading.chance_to_win)]


def _whole(number: str) -> str:
    """Return a number whose unit is not broken off at the end of a line."""
    return number.replace(" ", "\u00a0")


def _every_look(results: ResultsView, extent: Extent) -> str:
    """Return the intervals that verdicts are about."""
    rows = [
        [escaped(metric.name), escaped(variant), reading.effect, reading.effect_interval, metric.threshold]
        for metric in results.metrics
        for variant, compared in metric.comparisons.items()
        if (reading := compared.reading(ReadingName.ANYTIME)).effect_estimate is not None
    ]
    if not rows:
        return ""
    heads = ["metric", "variant", "effect", "interval that holds at every look", "threshold of the verdict"]
    table = _table(heads, ("---", "---", "---:", "---:", "---"), rows[: extent.rows])
    return _with_rest(table, len(rows) - extent.rows, "rows")


def _breakdowns(results: ResultsView, extent: Extent) -> str:
    rows = [
        [
            *(escaped(part.label, 2 * NAME_SHOWN) if not number else "", escaped(row.treatment)),
            *(row.control_value, row.value, row.lift, row.lift_interval),
            escaped(", ".join(filter(None, (row.verdict_words, row.reason))), LINE_SHOWN),
        ]
        for part in results.parts
        for number, row in enumerate(part.rows)
    ]
    if not rows:
        return ""
    heads = ["part of a metric", "treatment", "control", "value", "lift", results.interval, "verdict"]
    table = _table(heads, ("---", "---", "---:", "---:", "---:", "---:", "---"), rows[: extent.rows])
    return _with_rest(table, len(rows) - extent.rows, "rows")


def _looks(view: ExperimentView, extent: Extent) -> str:
    rows = [
        [
            f"{look.number}{f' ({look.planned})' if look.planned else ''}",
            f"{look.as_of:%Y-%m-%d %H:%M:%S}",
            *(look.identities, look.new, look.late, look.restated, look.quarantined),
            look.decision,
            escaped(look.verdicts, LINE_SHOWN),
        ]
        for look in view.looks[: extent.notes]
    ]
    if not rows:
        return ""
    heads = ["look", "as of (UTC)", "identities", "new", "late", "restated", "quarantined", "decision", "verdicts"]
    return _table(heads, ("---:", "---", *["---:"] * 5, "---", "---"), rows)


def _findings(view: ExperimentView, extent: Extent) -> str:
    failed = [each for each in view.findings if not each.passed]
    if not view.findings:
        return ""
    if not failed:
        return f"All {len(view.findings)} health checks pass."
    told = [
        f"- **{escaped(each.severity)}**: {escaped(each.title)}. {escaped(each.detail, LINE_SHOWN)}" for each in failed
    ]
    passed = f"{len(view.findings) - len(failed)} other health checks pass."
    return "\n".join([*told[: extent.notes], "", passed])


def _provenance(results: ResultsView) -> str:
    of = results.provenance
    lines = [escaped(of.window, LINE_SHOWN)]
    if of.computed_at is not None:
        lines.append(f"computed at {of.computed_at:%Y-%m-%d %H:%M:%S} UTC")
    if of.code_version:
        lines.append(f"code version {escaped(of.code_version)}")
    if results.moved is not None:
        lines.append(escaped(results.moved.summary, LINE_SHOWN))
    return "\n".join(f"- {line}" for line in lines)


def _list(lines: Sequence[Line], extent: Extent) -> str:
    listed = "\n".join(f"- {_line(line)}" for line in lines[: extent.notes])
    return _with_rest(listed, len(lines) - extent.notes, "lines")


def _line(line: Line) -> str:
    text = escaped(line.text, LINE_SHOWN)
    return f"**{text}**" if line.tone in (Tone.BAD, Tone.WARNING) else text


def _with_rest(text: str, left_out: int, what: str) -> str:
    return f"{text}\n\nand {left_out} more {what}" if left_out > 0 else text


def _table(heads: Sequence[str], sides: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown already."""
    return "\n".join(f"| {' | '.join(row)} |" for row in ([readable(head) for head in heads], sides, *rows))


def _picture(words: str, picture: str) -> str:
    return f"![{words}]({data_uri(picture)})"
