"""What every endpoint works with, handed over by the app."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from experiment_pipeline.registry.repository import Registry
from experiment_pipeline.settings import Settings


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class State:
    """The registry, the settings, and a clock that tests may set."""

    registry: Registry
    settings: Settings
    now: Callable[[], datetime] = utc_now


async def state_of(request: Request) -> State:
    """The state of the app that answers this request. Async: it waits for nothing, and a thread would cost more."""
    state = request.app.state.shared
    assert isinstance(state, State)  # noqa: S101 - a fact for the type checker
    return state


Shared = Annotated[State, Depends(state_of)]
