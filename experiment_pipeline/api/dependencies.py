"""Dependencies of every endpoint: the registry, the settings and the clock that the app was made with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from experiment_pipeline.api.rate_limits import RateLimits
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings


def utc_now() -> datetime:
    """Return this moment, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class State:
    """The registry, the settings, the limits of this process, and a clock that tests may set."""

    registry: Registry
    settings: Settings
    limits: RateLimits
    now: Callable[[], datetime] = utc_now


def state_of(request: Request) -> State:
    """Return the state of the app that answers a request."""
    state = request.app.state.shared
    assert isinstance(state, State)  # noqa: S101 - a fact for the type checker
    return state


async def _state(request: Request) -> State:
    """Return the state, as a dependency: async, for a thread would cost more than it takes."""
    return state_of(request)


Shared = Annotated[State, Depends(_state)]
