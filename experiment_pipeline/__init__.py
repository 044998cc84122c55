"""Experiments on Dagster. The components are loaded when they are asked for: a command line needs none of Dagster."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiment_pipeline.automation.components import EventLakeComponent, ExperimentsComponent

__all__ = ["EventLakeComponent", "ExperimentsComponent"]


def __getattr__(name: str) -> Any:
    """Return a component."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("experiment_pipeline.automation.components"), name)


def __dir__() -> list[str]:
    """Return the names of the components, for `dg list components`."""
    return [*globals(), *__all__]
