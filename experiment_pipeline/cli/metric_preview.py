"""`experiment-pipeline metrics preview`."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.apply import read_file
from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.metric_preview_report import as_json_document, report
from experiment_pipeline.cli.repair import open_warehouse, progress_bar
from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.metric_preview import MetricPreview
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.domain.refresh import RefreshRun
from experiment_pipeline.domain.texts import nearest, quoted, suggestion
from experiment_pipeline.errors import ConfigurationError, NotFound, NotStarted
from experiment_pipeline.results.reasons import briefly
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.times import iso_utc, to_milliseconds

if TYPE_CHECKING:
    from experiment_pipeline.registry.registry import Registry
    from experiment_pipeline.warehouse.base import LakeWarehouse

USUAL_DAYS = 14
MOST_DAYS = 366
MOST_EVENTS = 1_000  # kinds of events that names are looked for among
ONE_WINDOW = "Give --experiment or --days, not both: an experiment has its own window."
OF_A_FILE = "it is the metric of a file"
EVERYBODY = "preview-0"  # in place of an experiment's partition
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric that was measured.

    Attributes:
        experiment: whose identities these are; None for everybody.
        near: events of the metric that do not occur, with the names that were probably meant.
        not_stored: why the registry does not have the measurement; None where it has.
    """

    metric: Metric
    experiment: Experiment | None
    preview: MetricPreview
    near: dict[str, list[str]]
    not_stored: str | None

    @property
    def shown(self) -> tuple[Metric, Experiment | None, MetricPreview, dict[str, list[str]]]:
        """The parts of a report."""
        return self.metric, self.experiment, self.preview, self.near


@click.command("preview")
@click.argument("name")
@click.option("--experiment", "key", metavar="KEY", help="Over the identities and the window of this experiment.")
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    help=f"Over everybody with any event in the last so many days.  [default: {USUAL_DAYS}]",
)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A metric of this manifest, applied or not; - reads standard input.",
)
@options.environment
@options.as_json
@click.pass_obj
def preview_metric(
    context: Context,
    name: str,
    *,
    key: str | None,
    days: int | None,
    file: Path | None,
    environment: str | None,
    as_json: bool,
) -> None:
    """Show what the metric NAME gives over events that are in the lake, before an experiment uses it.

    With --experiment, identities and window are those that a refresh of that experiment would analyse now, all compared
    variants together. Without, everybody counts who had any event in the last --days: they end with the newest event of
    the environment, and begin with its first one where there are fewer. Each identity counts from its first event in
    that time on, as from an exposure.

    Values are shown before cap and floor; mean and standard deviation have them. What was measured is stored in the
    registry, to plan experiments from; of a metric in a file nothing is. No artifact and no result changes.

    \b
    Examples:
      experiment-pipeline metrics preview revenue
      experiment-pipeline metrics preview revenue --days 28 --json
      experiment-pipeline metrics preview revenue --experiment checkout
      experiment-pipeline metrics preview margin --file experiments.yaml
    """
    if key is not None and days is not None:
        raise click.UsageError(ONE_WINDOW)
    with context.registry() as registry:
        found = measure(context, registry, name, key=key, days=days, file=file, environment=environment)
    if as_json:
        click.echo(json.dumps(as_json_document(*found.shown, not_stored=found.not_stored), indent=2))
        return
    context.wide_console.print(report(*found.shown, not_stored=found.not_stored))


def measure(
    context: Context,
    registry: "Registry",
    name: str,
    *,
    key: str | None,
    days: int | None,
    file: Path | None,
    environment: str | None,
) -> Measured:
    """Measure a metric over the lake, and store it where it is declared.

    Args:
        context: of the command.
        registry: of the installation.
        name: of the metric.
        key: of the experiment whose identities it is measured over; None for everybody.
        days: of everybody's events; None for the usual number.
        file: a manifest that has the metric; None for the registry.
        environment: its key; None for the only one.
    """
    context.require_sound_lake(registry)
    engine = open_warehouse(context)
    experiment = None if key is None else context.find(registry, key, environment)
    of = environment if experiment is None else experiment.environment_key
    metric = _metric(context, registry, name, of, file)
    context.require_events_in_lake(registry, metric.environment_key, "a preview")
    data_version = registry.batches.lake_version().data_version
    if experiment is None:
        scope = _recent(context, engine, metric.environment_key, data_version, days or USUAL_DAYS)
    else:
        scope = _of_experiment(context, experiment, data_version)
    preview = _previewed(context, engine, scope, metric)
    near = _near_events(engine, scope, metric) if preview.counts_nothing else {}
    not_stored = OF_A_FILE if file is not None else _store(context, registry, metric, experiment, preview)
    return Measured(metric, experiment, preview, near, not_stored)


def _metric(context: Context, registry: "Registry", name: str, environment: str | None, file: Path | None) -> Metric:
    """Return the metric of a name, that of the file where one is given."""
    if file is not None:
        return _of_file(context, registry, name, file, environment)
    return declared_metric(context, registry, name, environment)


def declared_metric(context: Context, registry: "Registry", name: str, environment: str | None) -> Metric:
    """Return the metric of a name, in the only environment where none is named; an error suggests a similar name."""
    key = context.environment(registry, environment)
    try:
        return registry.metrics.find(key, name)
    except NotFound:
        near = suggestion(name, [each.name for each in registry.metrics.list(key)])
        raise NotFound(f"No metric {quoted(name)} in environment {key}.{near}") from None


def _of_file(context: Context, registry: "Registry", name: str, file: Path, environment: str | None) -> Metric:
    from experiment_pipeline.domain.drafts import check_metric
    from experiment_pipeline.schemas.manifest_lines import naming_lines
    from experiment_pipeline.schemas.manifests import parse_manifest

    text = read_file(file)
    with naming_lines(text):
        declared = parse_manifest(text, only=["metrics"]).metrics
        if name not in declared:
            raise NotFound(f"No metric {quoted(name)} in {file}.{suggestion(name, declared)}")
        draft = declared[name]
        try:
            defined = check_metric(draft)
        except ConfigurationError as invalid:
            raise invalid.below(f"metrics.{name}") from None
    key = context.environment(registry, environment or draft.environment or None)
    return Metric(
        id=1,  # of no row: nothing is stored of it
        environment_key=key,
        name=draft.name,
        statistic=defined.statistic,
        direction=draft.direction,
        maturity=defined.maturity,
        version=defined.version,
        unit=draft.unit,
    )


def _of_experiment(context: Context, experiment: Experiment, data_version: int) -> AnalysisScope:
    """Return the scope that a refresh would have now."""
    now = to_milliseconds(context.now)
    as_of = min(now, experiment.ended_at or now)
    if experiment.started_at is None or experiment.started_at > now:
        raise NotStarted(f"Experiment '{experiment.key}' has not started: nobody is in it. Give --days instead.")
    return AnalysisScope.of(experiment, RefreshRun("preview", experiment.id, as_of, data_version))


def _recent(
    context: Context, engine: "LakeWarehouse", environment_key: str, data_version: int, days: int
) -> AnalysisScope:
    """Return everybody in the days that end with the newest event, which may lie in the past.

    They begin with the first event of the environment where that is later: time before it has no traffic.
    """
    times = engine.event_times(environment_key, data_version, to_milliseconds(context.now))
    if times is None:
        raise NotFound(f"No events of environment {environment_key} are in the lake. Ingest some with `lake ingest`.")
    first, last = times
    as_of = last + MILLISECOND
    window = Window(max(first, as_of - timedelta(days=days)), as_of)
    return AnalysisScope(EVERYBODY, environment_key, None, window, data_version)


def _previewed(context: Context, engine: "LakeWarehouse", scope: AnalysisScope, metric: Metric) -> MetricPreview:
    with progress_bar(context, "identities") as progress:
        bar = progress.add_task("Reading identities", total=None)

        def show(done: int, total: int) -> None:
            progress.update(bar, description="Measuring", completed=done, total=total)

        preview = engine.preview_metric(scope, metric, show)
    if preview is None:
        when = f"between {iso_utc(scope.window.started_at)} and {iso_utc(scope.window.as_of)}"
        raise NotFound(f"No identity was exposed to {quoted(scope.feature or '')} {when}, or none that is analysed.")
    return preview


def _near_events(engine: "LakeWarehouse", scope: AnalysisScope, metric: Metric) -> dict[str, list[str]]:
    """Return, for each event of the metric that does not occur, the names of those that were probably meant."""
    names = metric.event_names
    occurring = engine.event_names(scope, names, MOST_EVENTS)
    return {name: nearest(name, occurring) for name in names if name not in occurring}


def _store(
    context: Context, registry: "Registry", metric: Metric, experiment: Experiment | None, preview: MetricPreview
) -> str | None:
    """Store what was measured; return why it was not, where nothing could be planned from it."""
    from experiment_pipeline.results.measurement import measurement_of_preview

    measured = measurement_of_preview(metric, preview, context.now, None if experiment is None else experiment.id)
    if isinstance(measured, NotComputable):
        return f"{briefly(measured.reason)}, so that nothing can be planned from it"
    registry.measurements.store(measured)
    return None
