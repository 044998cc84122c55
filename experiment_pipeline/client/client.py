"""The client: what was published, read by an experiment's key."""

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import BaseModel, ValidationError
from typing_extensions import override

from experiment_pipeline.client.answers import Answers, Json
from experiment_pipeline.client.errors import NotRefreshed, RefreshFailed, UnexpectedAnswer
from experiment_pipeline.client.http_answers import HttpAnswers
from experiment_pipeline.client.published import (
    Breakdowns,
    Exposures,
    Finding,
    Health,
    Looks,
    Results,
    envelope_fields,
    moment,
)
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.schemas.responses import ExperimentView, MetricView

if TYPE_CHECKING:
    from experiment_pipeline.results.achieved_power import AchievedPowerPayload
    from experiment_pipeline.results.live_stats import LiveStatsPayload
    from experiment_pipeline.results.sample_plan import PlanPayload

View = TypeVar("View", bound=BaseModel)
POLL_SECONDS = 2.0


class Client:
    """Reads what was published of the experiments of one environment, and requests refreshes.

    Over HTTP: `Client("https://experiments.example.com", key)`. Over a data directory, without a server and a key:
    `Client.of_directory("data")`. Both have the same methods, answers and errors (`client.errors`). An experiment is
    named by its key or its id; a phase of None is the newest one (rule X9).

    Args:
        url: of the server.
        key: an API key; it opens one environment.
        timeout: seconds for the connection, and for each part of an answer.
        retries: how often a request without an answer is sent again; a refresh only where it is known to be undone.
        tls: of https; the system's certificates by default.

    Raises:
        ConfigurationError: the address or the key cannot be one.
    """

    def __init__(
        self, url: str, key: str, *, timeout: float = 30.0, retries: int = 2, tls: ssl.SSLContext | None = None
    ) -> None:
        self._answers: Answers = HttpAnswers(url, key, timeout=timeout, retries=retries, tls=tls)

    @classmethod
    def of_directory(cls, path: str | PathLike[str], environment: str | None = None) -> Self:
        """Return a client of a data directory; the environment may be left out where there is only one.

        Raises:
            NotFound: there is no registry, or no such environment.
            ConfigurationError: there are several environments.
        """
        from experiment_pipeline.client.directory_answers import DirectoryAnswers  # a database takes its time

        return cls._of(DirectoryAnswers(path, environment))

    @classmethod
    def _of(cls, answers: Answers) -> Self:
        client = cls.__new__(cls)
        client._answers = answers  # noqa: SLF001 - its own: another way to construct it
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._answers!r})"

    def close(self) -> None:
        """Close what is open."""
        self._answers.close()

    @property
    def environment(self) -> str:
        """The key of the environment that is read."""
        return self._answers.environment()

    def experiments(
        self, *, status: ExperimentStatus | str | Sequence[ExperimentStatus | str] = (), search: str = ""
    ) -> list[ExperimentView]:
        """Return the experiments, newest first: all of them, however many pages they fill.

        Args:
            status: one or several of `created`, `running`, `paused`, `completed`; all by default.
            search: a part of the name or the feature.
        """
        asked = [status] if isinstance(status, str) else list(status)
        allowed = [each.value for each in ExperimentStatus]
        if unknown := [each for each in asked if each not in allowed]:
            raise ConfigurationError.of("status", f"{unknown[0]!r} is none of {', '.join(allowed)}.")
        return [
            _read(ExperimentView, each) for each in self._answers.experiments([str(each) for each in asked], search)
        ]

    def experiment(self, key: str | int) -> ExperimentView:
        """Return one experiment as it is declared. Raises NotFound."""
        return _read(ExperimentView, self._answers.experiment(str(key)))

    def metrics(self, *, search: str = "") -> list[MetricView]:
        """Return the metrics, newest first; `search` is a part of the name."""
        return [_read(MetricView, each) for each in self._answers.metrics(search)]

    def results(self, key: str | int, *, phase: int | None = None) -> Results:
        """Return the results that were published last. Raises NotFound."""
        return Results(**self._published(key, phase, self._answers.results(str(key), phase)))

    def breakdowns(self, key: str | int, *, phase: int | None = None) -> Breakdowns:
        """Return the steps, slices and dimensions of the results that were published last. Raises NotFound."""
        return Breakdowns(**self._published(key, phase, self._answers.results(str(key), phase)))

    def exposures(self, key: str | int, *, phase: int | None = None) -> Exposures:
        """Return the exposures that were published last. Raises NotFound."""
        return Exposures(**self._published(key, phase, self._answers.exposures(str(key), phase)))

    def looks(self, key: str | int, *, phase: int | None = None) -> Looks:
        """Return every look, newest first. Raises NotFound."""
        return Looks(tuple(self._answers.looks(str(key), phase)))  # type: ignore[arg-type]

    def health(self, key: str | int, *, phase: int | None = None) -> Health:
        """Return the findings of every health check, the worst first. Raises NotFound."""
        found = self._answers.health(str(key), phase)
        if found is None:
            return Health()
        return Health(
            moment(found["as_of"]), found["data_version"], tuple(Finding(**each) for each in found["findings"])
        )

    def live(self, key: str | int, *, phase: int | None = None) -> "LiveStatsPayload":
        """Return the live statistics of the primary metric, as docs/http-api.md has them. Raises NotFound."""
        return self._answers.live(str(key), phase)  # type: ignore[return-value]

    def power(self, key: str | int) -> "AchievedPowerPayload":
        """Return what an experiment detects by now. Raises Conflict before results were published, NotFound."""
        return self._answers.power(str(key))  # type: ignore[return-value]

    def plan(self, metric: str | int, **request: object) -> "PlanPayload":
        """Return the sample of an experiment on a metric, from what was measured of the metric.

        Args:
            metric: its name or id.
            request: any of `mde`, `traffic`, `alpha`, `power`, `variants`, `covariate`, `cap` (docs/http-api.md).

        Raises:
            ConfigurationError: names the field.
            Conflict: nothing is measured yet; says what to run.
        """
        return self._answers.plan({"metric": metric, **request})  # type: ignore[return-value]

    def refresh(self, key: str | int, *, phase: int | None = None) -> "Refresh":
        """Request a refresh, which a running installation computes; `wait` on what is returned waits for it.

        Raises:
            Throttled: a user requested one recently; has the seconds left.
            NotStarted, Final: there is nothing to refresh.
            Forbidden: the key may only read.
        """
        self._answers.refresh(str(key), phase)
        asked = self.results(key, phase=phase)
        assert asked.refresh_requested_at is not None  # noqa: S101 - the request stamps it
        return Refresh(self, str(key), asked.phase, asked.refresh_requested_at)

    def _published(self, key: str | int, phase: int | None, envelope: Json | None) -> dict[str, Any]:
        experiment = self.experiment(key)
        newest = {"phase": experiment.phase if phase is None else phase}
        return {"experiment": experiment, "environment": self.environment, **newest, **envelope_fields(envelope)}


@dataclass(frozen=True)
class Refresh:
    """A refresh that was requested."""

    client: Client = field(repr=False)
    key: str
    phase: int
    requested_at: datetime

    def wait(self, timeout: float = 600.0, *, sleep: Callable[[float], None] = time.sleep) -> Results:
        """Return the results once they are computed.

        Args:
            timeout: seconds to wait at most.
            sleep: waits for so many seconds between two questions.

        Raises:
            RefreshFailed: the refresh has failed.
            NotRefreshed: nothing was published within the timeout, e.g. since no installation runs.
        """
        until = time.monotonic() + timeout
        while True:
            found = self.client.results(self.key, phase=self.phase)
            if self._is_covered_by(found):
                return found
            if found.last_error_at is not None and found.last_error_at >= self.requested_at:
                raise RefreshFailed(f"The refresh of '{self.key}' has failed: its run in Dagster has the reason.")
            if time.monotonic() >= until:
                raise NotRefreshed(
                    f"'{self.key}' was not refreshed within {timeout:g} s. Requests are computed by a running Dagster "
                    "daemon: see that `experiment-pipeline dev`, or your own, runs."
                )
            sleep(POLL_SECONDS)

    def _is_covered_by(self, found: Results) -> bool:
        if found.as_of is None or found.computed_at is None:
            return False
        needed = self.requested_at if found.ended_at is None else min(self.requested_at, found.ended_at)
        return found.as_of >= needed and found.computed_at > self.requested_at


def _read(view: type[View], document: Json) -> View:
    try:
        return view.model_validate(document)
    except ValidationError as invalid:
        places = ", ".join(".".join(map(str, each["loc"])) for each in invalid.errors(include_input=False))
        raise UnexpectedAnswer(f"An answer of another version: {places} cannot be read.") from None
