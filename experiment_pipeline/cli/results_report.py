"""Report of an experiment's payloads for people: a heading, who was exposed, how they were split, the metrics."""

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from experiment_pipeline.cli.parts_table import PartsTable
from experiment_pipeline.cli.results_table import ResultsTable
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.floors import SHIPPED_FLOORS, Floors
from experiment_pipeline.domain.refresh import ComputedTogether, StoredHealth
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.decision import DecisionView
from experiment_pipeline.pages.result_words import LEGEND
from experiment_pipeline.pages.split import SplitView
from experiment_pipeline.pages.tones import Line, Tone
from experiment_pipeline.pages.view import ExperimentView, ResultsView, experiment_view

STYLES = {Tone.GOOD: "green", Tone.BAD: "bold red", Tone.WARNING: "yellow", Tone.QUIET: "dim"}
ACTION_STYLES = {**STYLES, Tone.GOOD: "bold green"}


def report(
    experiment: Experiment,
    computed: ComputedTogether,
    health: StoredHealth | None = None,
    *,
    floors: Floors = SHIPPED_FLOORS,
    with_parts: bool = True,
) -> RenderableType:
    """Return a heading, exposures and split, then per metric and variant n, value, effect, lift, chance to win.

    Args:
        experiment: as it is configured.
        computed: what is published of it.
        health: the findings of its newest results.
        floors: of the installation; they are named where an arm has less.
        with_parts: show the steps, slices and breakdowns of metrics, too.
    """
    view = experiment_view(experiment, computed, health, floors=floors)
    heading = Text.assemble((printable(experiment.name), "bold"), f"  {view.key}, {view.status}")
    if view.results is None or view.results.exposures is None:
        return Group(heading, *_styled(view.alerts), "")
    results, exposures = view.results, view.results.exposures
    return Group(
        heading,
        _window_line(view, results),
        *_styled(view.alerts),
        Text(exposures.summary),
        *_split_lines(results.split),
        *_decision_lines(results.decision),
        ResultsTable(results.metrics, results.interval),
        *_styled([*results.unreadable, *results.notes, *results.sensitivity, *results.withheld]),
        *([PartsTable(results.parts, results.interval)] if with_parts else ()),
        *_styled(each.line for each in view.findings if not each.passed and not each.is_told_elsewhere),
        "",
    )


def legend() -> Text:
    """Return what the columns of the report mean."""
    return Text(f"{LEGEND}Every word: experiment-pipeline results --explain\n", style="dim")


def _styled(lines: Iterable[Line]) -> Iterator[Text]:
    return (Text(line.text, style=STYLES.get(line.tone, "")) for line in lines)


def _window_line(view: ExperimentView, results: ResultsView) -> Text:
    line = Text(results.provenance.window, style="dim")
    return line.append(f", {view.failure}", style="red") if view.failure else line


def _split_lines(split: SplitView) -> Iterator[Text]:
    if split.tone is Tone.WARNING:
        yield Text(f"split {split.verdict}: {split.detail}", style="yellow")
        return
    yield Text.assemble("split ", (split.verdict, STYLES[split.tone]), f": {split.detail}")
    if split.warning:
        yield Text(split.warning, style="bold red")


def _decision_lines(decision: DecisionView | None) -> Iterator[Text]:
    """Say what to do in one line, and of several treatments what to do with each."""
    if decision is None:
        return
    line = Text.assemble("decision ", (decision.action, ACTION_STYLES.get(decision.tone, "")))
    yield line.append(f": {decision.why} (rule {decision.rule})")
    for each in decision.by_treatment:
        yield Text(f"  {each.subject}: {each.action}: {each.why} (rule {each.rule})")
