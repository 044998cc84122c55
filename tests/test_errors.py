"""The tree of deliberate errors, as its docstring draws it."""

import re
from datetime import timedelta

import pytest

from experiment_pipeline import errors
from experiment_pipeline.errors import ConfigurationError, ExperimentPipelineError, Throttled

DRAWN = re.compile(r"^    ([│├└─ ]*)([A-Z]\w+)", re.MULTILINE)


def drawn() -> dict[str, str]:
    """Return each error of the drawing with the one above it."""
    assert errors.__doc__ is not None
    parents: dict[str, str] = {}
    path: list[str] = []
    for indent, name in DRAWN.findall(errors.__doc__):
        path = [*path[: len(indent) // 4], name]
        if len(path) > 1:
            parents[name] = path[-2]
    return parents


def defined(error: type[Exception]) -> dict[str, str]:
    """Return each error below this one in `errors`, with its base."""
    found: dict[str, str] = {}
    for each in error.__subclasses__():
        if each.__module__ == errors.__name__:
            found |= {each.__name__: error.__name__, **defined(each)}
    return found


def test_tree__as_drawn__is_the_tree_of_the_classes() -> None:
    assert drawn() == defined(ExperimentPipelineError)


def test_configuration_error__several_fields__is_one_line_and_can_be_placed_below_an_entry() -> None:
    error = ConfigurationError({"key": ["Must begin with a letter."], "name": ["Must not be empty.", "Too short."]})
    assert str(error) == "key: Must begin with a letter.; name: Must not be empty. Too short."
    assert list(error.below("experiments.checkout").errors) == ["experiments.checkout.key", "experiments.checkout.name"]


@pytest.mark.parametrize(("left", "seconds"), [(0.0, 1), (0.2, 1), (1.0, 1), (59.001, 60)])
def test_throttled__seconds_left__are_whole_and_at_least_one(left: float, seconds: int) -> None:
    assert Throttled("Try again later.", timedelta(seconds=left)).seconds_left == seconds
