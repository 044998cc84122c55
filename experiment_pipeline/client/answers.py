"""Answers to the client's questions: JSON documents as the HTTP API serves them, wherever they come from."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Json = dict[str, Any]


class Answers(Protocol):
    """The questions that a client asks, each answered by the document of the API's endpoint of that name.

    Documents are JSON-ready. `key` is an experiment's key or id; a phase of None is the newest one.

    Every method raises NotFound for what the environment does not have, and NoAnswer where there is no answer now.
    """

    def environment(self) -> str:
        """Return the key of the environment that is read."""

    def experiments(self, statuses: Sequence[str], search: str) -> Sequence[Json]:
        """Return the experiments, newest first."""

    def experiment(self, key: str) -> Json:
        """Return one experiment."""

    def metrics(self, search: str) -> Sequence[Json]:
        """Return the metrics, newest first."""

    def exposures(self, key: str, phase: int | None) -> Json | None:
        """Return the envelope of the exposures; None before anything was asked for."""

    def results(self, key: str, phase: int | None) -> Json | None:
        """Return the envelope of the results; None before anything was asked for."""

    def looks(self, key: str, phase: int | None) -> Sequence[Json]:
        """Return the looks, newest first."""

    def health(self, key: str, phase: int | None) -> Json | None:
        """Return the findings; None before results were published."""

    def live(self, key: str, phase: int | None) -> Json:
        """Return the live statistics."""

    def power(self, key: str) -> Json:
        """Return what an experiment detects by now. Raises Conflict before results were published."""

    def plan(self, request: Mapping[str, object]) -> Json:
        """Return the plan of an experiment on a metric. Raises ConfigurationError, Conflict."""

    def refresh(self, key: str, phase: int | None) -> None:
        """Request a refresh of the results. Raises NotStarted, Final, Throttled."""

    def close(self) -> None:
        """Close what is open."""
