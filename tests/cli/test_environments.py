"""Environments on the command line."""

import json

from tests.cli.conftest import Run


def test_environments__created__are_listed(run: Run) -> None:
    assert run("environments", "create", "production", "--name", "Production").exit_code == 0
    assert json.loads(run("environments", "list", "--json").stdout) == [
        {"key": "production", "name": "Production", "keep": None}
    ]
    assert "Production" in run("environments", "list").stdout
    again = run("environments", "create", "production")
    assert (again.exit_code, again.stderr) == (2, "Error: An environment 'production' already exists.\n")
    assert run("environments", "create", "a/b").exit_code == 2
