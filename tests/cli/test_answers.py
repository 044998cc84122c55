"""Every command that ends by itself prints JSON on request, and nothing else on standard output."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from experiment_pipeline.cli.main import COMMANDS, UNTIL_STOPPED, main
from tests.cli.conftest import Run
from tests.lake.ledger import land, record

ARGUMENTS = {  # of a command that does what it is for, on an installation with one running experiment
    "apply": ["{manifest}"],
    "audit list": [],
    "backup": ["{backup}"],
    "doctor": [],
    "erase": ["--identifier", "ada", "--yes"],
    "environments create": ["staging"],
    "environments list": [],
    "experiments complete": ["checkout"],
    "experiments delete": ["checkout", "--yes"],
    "experiments discover": [],
    "experiments list": [],
    "experiments pause": ["checkout"],
    "experiments restart": ["checkout", "--yes"],
    "experiments show": ["checkout"],
    "experiments start": ["checkout"],
    "keys create": ["--scope", "read"],
    "keys list": [],
    "keys revoke": ["{prefix}"],
    "keys rotate": ["{prefix}"],
    "lake compact": [],
    "lake ingest": [],
    "lake rejected": [],
    "lake repair": [],
    "lake status": [],
    "lake vacuum": [],
    "health": ["checkout"],
    "looks": ["checkout"],
    "notifications list": [],
    "notifications send": [],
    "notifications targets": [],
    "notifications test": ["team", "--dry-run"],
    "replay": ["checkout"],
    "metrics delete": ["unused", "--yes"],
    "metrics list": [],
    "metrics show": ["purchase"],
    "metrics upgrade": ["unused"],
    "registry copy": ["--to", "{copy}"],
    "refresh": ["checkout", "--no-wait"],  # test_refresh.py waits for one
    "report": ["checkout", "--html", "--output", "{report}"],
    "results": ["checkout"],
    "schema manifest": [],
    "tables rebuild": [],
    "tables status": [],
    "tables write": [],
    "schema notification": [],
}
ELSEWHERE = {
    "import",  # of a file: test_imports.py
    *(f"sources {each}" for each in ("check", "list", "preview", "pull")),  # of files: test_sources.py
    "power",  # of a metric: test_power.py
    "notifications send-again",  # of one that was given up: test_notifications.py
    "metrics preview",  # of events in the lake: test_metric_preview.py
    "demo",  # it takes seconds: test_demo.py
    "registry bind",  # to another lake: test_registry.py
    *(f"warehouse {each}" for each in ("explain", "init", "results")),  # of a warehouse: test_warehouse.py
    "restore",  # of a backup, to another data directory: tests/backup
}
PAUSED_BEFORE = {"experiments delete", "experiments start"}


def leaves() -> Iterator[tuple[str, click.Command]]:
    """Every command of the command line, by its name."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", each) for below, each in command.commands.items())
        elif command is not None:
            yield name, command


def test_json__every_command_that_ends_by_itself__is_walked_here() -> None:
    found = {name for name, _ in leaves()}
    assert found == set(ARGUMENTS) | ELSEWHERE | UNTIL_STOPPED


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_json__command__prints_json_and_nothing_else(declared: Run, manifest: Path, tmp_path: Path, name: str) -> None:
    prefix = declared("keys", "create", "--scope", "read").stdout.split("_")[1]
    metric = "metrics: {unused: {aggregation: count, definition: {version: 1, event: view}}}\n"
    metric += "notifications: {team: {kind: webhook, url_env: TEAM_URL, secret_env: TEAM_SECRET}}"
    (tmp_path / "more.yaml").write_text(metric, "utf-8")
    assert declared("apply", tmp_path / "more.yaml").exit_code == 0
    land(tmp_path / "data" / "landing", [record(), "{"], "a.jsonl", "production")
    if name in PAUSED_BEFORE:
        declared("experiments", "pause", "checkout")
    copy = f"sqlite:///{tmp_path / 'copy.sqlite'}"
    places = {"copy": copy, "backup": tmp_path / "backup", "report": tmp_path / "report.html"}
    arguments = [each.format(manifest=manifest, prefix=prefix, **places) for each in ARGUMENTS[name]]
    shown = declared(*name.split(), *arguments, "--json")
    assert shown.exit_code == 0, shown.output
    assert isinstance(json.loads(shown.stdout), dict | list)


def test_json__of_a_change__is_what_was_changed(declared: Run) -> None:
    assert json.loads(declared("experiments", "pause", "checkout", "--json").stdout)["status"] == "paused"
    assert json.loads(declared("experiments", "delete", "checkout", "-y", "--json").stdout) == {"deleted": "checkout"}
    created = json.loads(declared("keys", "create", "--scope", "read", "--json").stdout)
    assert created["token"].split("_")[1] == created["prefix"]


def test_json__of_the_lake__counts(declared: Run, tmp_path: Path) -> None:
    land(tmp_path / "data" / "landing", [record(), "{"], "a.jsonl", "production")
    assert json.loads(declared("lake", "status", "--json").stdout)["landing_objects_wait"] is True
    report = json.loads(declared("lake", "ingest", "--json").stdout)
    assert (report["accepted"], report["rejected"]) == (1, {"not_json": 1})
    status = json.loads(declared("lake", "status", "--json").stdout)
    assert (status["landing_objects_wait"], status["data_version"], status["partitions"][0]["events"]) == (False, 1, 1)
    nothing = {"dry_run": True, "drops": [], "merges": []}
    assert json.loads(declared("lake", "compact", "--dry-run", "--json").stdout) == nothing
    vacuumed = {"dry_run": False, "files": 0, "expired": []}
    assert json.loads(declared("lake", "vacuum", "--json").stdout) == vacuumed
