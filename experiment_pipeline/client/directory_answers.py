"""Answers of a data directory: the registry is read as the API reads it, without a server and without a key."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from typing_extensions import override

from experiment_pipeline.client.answers import Answers, Json
from experiment_pipeline.client.errors import Unavailable
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.fields import errors_by_field
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.power_request import PowerRequest
from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.errors import ConfigurationError, LakeError, NotFound, RegistryUnavailable
from experiment_pipeline.health.thresholds import Thresholds
from experiment_pipeline.lake.soundness import require_sound
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.results.achieved_power import published_power
from experiment_pipeline.results.looks import look_summary
from experiment_pipeline.results.published_live_stats import served_live_stats
from experiment_pipeline.results.sample_plan import sample_plan
from experiment_pipeline.schemas.responses import ExperimentView, MetricView
from experiment_pipeline.settings import Settings, read_settings
from experiment_pipeline.storage.places import places_of


class DirectoryAnswers(Answers):
    """Answers of the registry of a data directory, or of the database that EXPERIMENT_PIPELINE_REGISTRY_URL names.

    Args:
        path: of the data directory.
        environment: its key; may be left out where there is only one.
    """

    def __init__(self, path: str | PathLike[str], environment: str | None = None) -> None:
        self._settings: Settings = read_settings(Path(path))
        file = self._settings.registry_file
        if file is not None and not file.exists():
            raise NotFound(f"No registry at {file}. Name the data directory of an installation.")
        with _outages():
            self._registry = Registry.open(self._settings.database_url)
            try:
                self._environment = self._registry.environments.only_or_named(
                    environment, field="environment", without_any="There is none yet."
                )
            except BaseException:
                self._registry.close()
                raise

    @override
    def environment(self) -> str:
        return self._environment

    @override
    def experiments(self, statuses: Sequence[str], search: str) -> Sequence[Json]:
        wanted = [ExperimentStatus(each) for each in statuses]
        with _outages():
            found = self._registry.experiments.list(self._environment, statuses=wanted, search=search)
        return [self._view(each) for each in found]

    @override
    def experiment(self, key: str) -> Json:
        return self._view(self._find(key))

    @override
    def metrics(self, search: str) -> Sequence[Json]:
        with _outages():
            found = self._registry.metrics.list(self._environment, search=search)
        return [MetricView.of(each).model_dump(mode="json") for each in found]

    @override
    def exposures(self, key: str, phase: int | None) -> Json | None:
        return self._envelope(key, Computation.EXPOSURES, phase)

    @override
    def results(self, key: str, phase: int | None) -> Json | None:
        return self._envelope(key, Computation.RESULTS, phase)

    @override
    def looks(self, key: str, phase: int | None) -> Sequence[Json]:
        found = self._find(key, phase)
        with _outages():
            return [dict(look_summary(look)) for look in self._registry.looks.list(found.id, found.phase)]

    @override
    def health(self, key: str, phase: int | None) -> Json | None:
        found = self._find(key, phase)
        with _outages():
            live = self._registry.health.live(found, datetime.now(UTC), Thresholds.of(self._settings))
        return None if live is None else live.to_json()

    @override
    def live(self, key: str, phase: int | None) -> Json:
        found = self._find(key, phase)
        with _outages():
            stored = self._registry.live_stats.get(found.id, found.phase)
        return served_live_stats(found, stored, Floors.of(self._settings))

    @override
    def power(self, key: str) -> Json:
        found = self._find(key)
        with _outages():
            state = self._registry.computations.get(found.id, Computation.RESULTS)
        return dict(published_power(found, state))

    @override
    def plan(self, request: Mapping[str, object]) -> Json:
        try:
            asked = TypeAdapter(PowerRequest).validate_python(dict(request))
        except ValidationError as invalid:
            raise ConfigurationError(errors_by_field(invalid.errors())) from None
        asked.check()
        with _outages():
            metric = self._registry.metrics.find(self._environment, asked.metric)
            measured = self._registry.measurements.list(metric)
        return dict(sample_plan(metric, measured, asked))

    @override
    def refresh(self, key: str, phase: int | None) -> None:
        found = self._find(key, phase)
        with _outages():
            require_sound(places_of(self._settings).lake, self._registry.batches)
            self._registry.claims.create(
                found.id,
                Computation.RESULTS,
                ClaimSource.CLI,
                datetime.now(UTC),
                self._settings.refresh_min_interval,
                phase=None if phase is None else found.phase,
            )

    @override
    def close(self) -> None:
        self._registry.close()

    @override
    def __repr__(self) -> str:
        return f"of_directory {str(self._settings.data_dir)!r}"

    def _find(self, key: str, phase: int | None = None) -> Experiment:
        with _outages():
            found = self._registry.experiments.find(self._environment, key)
        return found if phase is None else found.in_phase(phase)

    def _view(self, experiment: Experiment) -> Json:
        return ExperimentView.of(experiment, Floors.of(self._settings)).model_dump(mode="json")

    def _envelope(self, key: str, computation: Computation, phase: int | None) -> Json | None:
        with _outages():
            return self._registry.computations.find(self._environment, key, computation, phase).envelope()


@contextmanager
def _outages() -> Iterator[None]:
    """Raise an outage of the registry, or an unsound lake, as the error that a server's answer would be."""
    try:
        yield
    except (RegistryUnavailable, LakeError) as away:
        raise Unavailable(str(away), is_undone=True) from away
