"""The phase that a request asks for: a number, or the newest one (rule X10)."""

from typing import Annotated

from fastapi import Query
from pydantic import WithJsonSchema

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.registry.columns import MAX_ID

# As text, whatever it is: a key is checked before anything else is (`auth.PendingAccess`), FastAPI's checks come first.
Phase = Annotated[
    str | None,
    WithJsonSchema({"type": "integer", "minimum": 1}),
    Query(description="the phase of the experiment; the newest one when left out"),
]


def number_of(phase: str | None) -> int | None:
    """Return the number that a request asks for; None for the newest phase.

    Raises:
        ConfigurationError: it is no whole number from 1 on.
    """
    if phase is None:
        return None
    if not (phase.isascii() and phase.isdigit() and 0 < int(phase[:12]) <= MAX_ID):
        raise ConfigurationError.of("phase", "Must be a whole number from 1 on.")
    return int(phase)


def in_phase(experiment: Experiment, phase: str | None) -> Experiment:
    """Return the experiment in the phase that a request asks for.

    Raises:
        ConfigurationError: it is no whole number from 1 on.
        NotFound: the experiment has no such phase.
    """
    number = number_of(phase)
    return experiment if number is None else experiment.in_phase(number)
