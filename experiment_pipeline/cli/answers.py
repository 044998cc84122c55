"""The answer of a command that changes something: a line for people, or JSON for programs."""

import json
from collections.abc import Mapping

import click


def answer(text: str, content: Mapping[str, object], *, as_json: bool) -> None:
    """Print what a command has done.

    Args:
        text: for people; one line.
        content: for programs, JSON-ready.
        as_json: whether to print the content.
    """
    click.echo(json.dumps(content, indent=2) if as_json else text)
