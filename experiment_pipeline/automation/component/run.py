"""One run of the experiments component: tables are read, and each selected experiment is computed, in one step (P2)."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from experiment_pipeline.assets.metadata import Metadata
from experiment_pipeline.assets.stages import StageOutput
from experiment_pipeline.automation.component.events import RESULTS, ComponentEvents, Event
from experiment_pipeline.automation.component.freshness import judge_freshness
from experiment_pipeline.automation.component.manifest import ComponentManifest, explained
from experiment_pipeline.automation.component.reading import ReadingReport, TableReading
from experiment_pipeline.automation.component.results import column_lineage, results_metadata
from experiment_pipeline.automation.component.results_databases import (
    DuckDBResults,
    ResultsDatabase,
    results_database,
)
from experiment_pipeline.automation.component.state import ComponentState, reading_tables
from experiment_pipeline.automation.experiment_refresh import Ended, ExperimentRefresh, refresh_together
from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.domain.sources import url_of
from experiment_pipeline.domain.texts import printable, quoted
from experiment_pipeline.errors import ExperimentPipelineError, NotFound, NotStarted, RefreshRefused
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.io_manager import FrameIOManager, frame_io_manager
from experiment_pipeline.resources.kept_event_log import event_log_kept_open
from experiment_pipeline.resources.refresh_session import Engines, RefreshSession
from experiment_pipeline.resources.retries import retry_transient
from experiment_pipeline.resources.warehouse import lake_resource, warehouse_resource
from experiment_pipeline.results.results_table import result_rows
from experiment_pipeline.schemas.manifests import Manifest
from experiment_pipeline.settings import Settings
from experiment_pipeline.storage.places import places_of
from experiment_pipeline.tables.writer import LookTables


@dataclass(frozen=True, slots=True)
class Opened:
    """The state of a component while a run has it open.

    Attributes:
        engines: give the one of an experiment's environment.
        lineage: of the columns of the results.
        manifest: that the component declares.
        report: of what the run has read.
        results: the database of the table that results are written to, if there is one.
    """

    session: RefreshSession
    engines: Engines
    io_manager: FrameIOManager
    lineage: dg.TableColumnLineage | None
    manifest: Manifest
    report: ReadingReport
    results: ResultsDatabase | None

    @property
    def registry(self) -> Registry:
        """The registry."""
        return self.session.registry


@dataclass(frozen=True, slots=True)
class ExperimentsRun:
    """One run.

    Attributes:
        context: of the step; its partitions are the experiments.
        manifest: of the component.
        state: where registry, lake and artifacts are.
        keys: of the assets that are shown, by the names that stages have for them.
        warehouse: the project's resource that tables are in, if any.
        table: that results are written to; None for nowhere.
        connection: that the warehouse is, if it is no resource.
    """

    context: dg.AssetExecutionContext
    manifest: ComponentManifest
    state: ComponentState
    keys: Mapping[str, dg.AssetKey]
    warehouse: DuckDBResults | None
    table: str | None
    connection: str | None

    def events(self) -> Iterator[Event]:
        """Yield what happened to each partition.

        Raises:
            dagster.Failure: tables could not be read, or an experiment failed; names them.
        """
        try:
            with self._opened() as opened:
                failed: dict[str, str] = {}
                newest, results = opened.report.newest, self.keys[RESULTS]
                yield from judge_freshness(self.manifest.every_table, newest, results, datetime.now(UTC))
                yield from self._refresh(opened, failed)
                self._write_tables(opened)
        except ExperimentPipelineError as error:
            description = _printable(explained(error))
            for key in self.context.partition_keys:
                yield self._events(key).failed(description)
            raise dg.Failure(description=description, allow_retries=False) from error
        if failed:
            told = "\n".join(f"{key}: {why}" for key, why in failed.items())
            counted = f"{len(failed)} of {len(self.context.partition_keys)} experiments failed."
            raise dg.Failure(description=f"{counted}\n{told}", allow_retries=False)

    @contextmanager
    def _opened(self) -> Iterator[Opened]:
        """Read the tables, and keep registry and engines open for the experiments."""
        settings = self.state.settings()
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as kept:
            registry = kept.enter_context(closing(Registry.open(settings.database_url)))
            kept.enter_context(event_log_kept_open(self.context.instance, self.context.run.run_id))
            with reading_tables(settings.data_dir):
                manifest, report = self._read(registry, settings)
            session = RefreshSession(registry, settings)
            kept.callback(session.release)
            yield Opened(
                session,
                kept.enter_context(_engines(settings)),
                frame_io_manager(settings),
                self._lineage(registry, manifest),
                manifest,
                report,
                self._results(registry),
            )

    def _read(self, registry: Registry, settings: Settings) -> tuple[Manifest, ReadingReport]:
        """Declare what the component declares, and read its tables."""
        database = self.warehouse if self.manifest.needs_resource else None
        manifest = self.manifest.read() if database is None else self.manifest.read(database.url)
        for difference in self.manifest.apply(registry, manifest):
            self.context.log.info("%s %s", difference.action, difference.subject)
        if not manifest.sources:
            return manifest, ReadingReport()
        reading = TableReading(registry, manifest.sources, settings, self.context.log.debug)
        with self.manifest.naming():
            report = retry_transient(reading.run)
        for name, rows in report.rows.items():
            self.context.log.info("%s: %s rows read", name, rows)
        return manifest, report

    def _write_tables(self, opened: Opened) -> None:
        """Write what was published to the tables of all looks; what cannot be written waits for the next run."""
        tables = LookTables(places_of(opened.session.settings).tables, opened.registry.table_outbox)
        try:
            tables.write(datetime.now(UTC))
        except (ExperimentPipelineError, OSError):
            self.context.log.exception("The tables of all looks are not written yet.")

    def _results(self, registry: Registry) -> ResultsDatabase | None:
        """Return the database of the results table: the warehouse."""
        if self.table is None or self.connection is None:
            return self.warehouse
        url = url_of(registry.connections.find(self.connection), os.environ)
        return results_database(ConnectionUrl(url, self.connection))

    def _lineage(self, registry: Registry, manifest: Manifest) -> dg.TableColumnLineage | None:
        declared = {each.key: each for each in registry.sources.list() if each.key in manifest.sources}
        return column_lineage(self.manifest.every_table, declared)

    def _refresh(self, opened: Opened, failed: dict[str, str]) -> Iterator[Event]:
        """Compute all experiments, and yield their events; what fails is its own."""
        keys: dict[ExperimentRefresh, str] = {}
        for key in self.context.partition_keys:
            try:
                experiment = self._find(opened, key)
            except Exception as error:  # noqa: BLE001 - of this experiment
                yield self._ended(key, error, failed)
            else:
                keys[self._refresh_of(opened, experiment)] = key
        outputs: dict[str, list[StageOutput]] = {key: [] for key in keys.values()}
        with closing(refresh_together(list(keys))) as steps:
            for refresh, step in steps:
                key = keys[refresh]
                if isinstance(step, StageOutput):
                    outputs[key].append(step)
                elif isinstance(step, Ended):
                    yield from self._end(opened, key, refresh, outputs.pop(key), failed)

    def _refresh_of(self, opened: Opened, experiment: Experiment) -> ExperimentRefresh:
        return ExperimentRefresh(experiment, self.context.run, opened.session, opened.engines, opened.io_manager)

    def _end(
        self,
        opened: Opened,
        key: str,
        refresh: ExperimentRefresh,
        outputs: Sequence[StageOutput],
        failed: dict[str, str],
    ) -> Iterator[Event]:
        """Yield the events of an experiment whose stages have all run."""
        error = refresh.error
        if error is None:
            try:
                yield from self._published(opened, key, refresh, outputs)
            except Exception as raised:  # noqa: BLE001 - of this experiment
                error = raised
        if error is not None:
            yield self._ended(key, error, failed)

    def _ended(self, key: str, error: Exception, failed: dict[str, str]) -> Event:
        """Return the event of an experiment that was not computed."""
        events = self._events(key)
        if isinstance(error, NotStarted):
            self.context.log.info("%s: %s", key, error)
            return events.computed(f"Not computed: {error}")
        if isinstance(error, RefreshRefused):
            self.context.log.warning("%s: refused: %s", key, error)
            return events.failed(f"Not computed: {error}", dg.AssetCheckSeverity.WARN)
        self.context.log.error("%s: failed", key, exc_info=error)
        why = explained(error) if isinstance(error, ExperimentPipelineError) else f"{type(error).__name__}: {error}"
        failed[key] = _printable(why)
        return events.failed(failed[key])

    def _published(
        self, opened: Opened, key: str, refresh: ExperimentRefresh, outputs: Sequence[StageOutput]
    ) -> Iterator[Event]:
        """Yield the events of an experiment whose results stand: new ones, or those that are final."""
        events, experiment = self._events(key), refresh.experiment
        published = opened.registry.computations.get(experiment.id, Computation.RESULTS, experiment.phase)
        rows = result_rows(experiment, published)
        made = {output.asset: output.metadata for output in outputs}
        self._write(opened.results, rows, is_new=RESULTS in made)
        for asset, metadata in made.items():
            if asset != RESULTS:
                yield from events.materialised(asset, metadata)
        if RESULTS in made:
            cost: Metadata = {"seconds": dg.MetadataValue.float(round(refresh.seconds, 3)), **_cost(opened.report)}
            shown = results_metadata(published, rows, opened.lineage)
            yield from events.materialised(RESULTS, {**made[RESULTS], **shown, **cost})
            yield from events.checked(outputs)
            yield events.computed("Computed.")
            return
        if not events.is_materialised():
            yield from events.materialised(RESULTS, results_metadata(published, rows, opened.lineage))
        stored = opened.registry.health.get(experiment.id, experiment.phase)
        yield from events.found(() if stored is None else stored.findings)
        yield events.computed("Final: nothing is computed again.")

    def _write(self, results: ResultsDatabase | None, rows: Sequence[Mapping[str, object]], *, is_new: bool) -> None:
        """Write a look to the table of the project, if there is one and it has not got it."""
        if self.table is None or results is None or not rows:
            return
        if is_new or not results.holds(self.table, rows[0]):
            results.write(self.table, rows)

    def _find(self, opened: Opened, key: str) -> Experiment:
        if self.manifest.declarations is None:
            return opened.registry.experiments.get_by_partition(key)
        if key not in opened.manifest.experiments:
            raise NotFound(f"The declarations have no experiment {quoted(key)}.")
        return opened.registry.experiments.find(opened.manifest.experiments[key].environment, key)

    def _events(self, key: str) -> ComponentEvents:
        return ComponentEvents(self.keys, key, self.context.instance)


@contextmanager
def _engines(settings: Settings) -> Iterator[Engines]:
    """Give the engines, each with one connection for the whole run."""
    with warehouse_resource(settings, lake_resource(settings)).kept() as engines:
        yield engines


def _cost(report: ReadingReport) -> Metadata:
    """Return what was read, for the metadata of every partition of the run."""
    cost: Metadata = {"rows_read": dg.MetadataValue.int(sum(report.rows.values()))}
    if report.ingested is not None and report.ingested.rejected:
        cost["events_rejected"] = dg.MetadataValue.json(report.ingested.rejected)
    return cost


def _printable(text: str) -> str:
    return "\n".join(printable(line) for line in text.splitlines())
