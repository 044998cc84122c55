"""`experiment-pipeline audit`: who changed what, when, from what to what (rule L5)."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_audit__of_a_declared_experiment__is_a_table_of_changes_newest_first(declared: Run) -> None:
    assert declared("experiments", "pause", "checkout").exit_code == 0
    shown = declared("audit", "list")
    assert shown.exit_code == 0
    first = shown.stdout.splitlines()[1].rstrip()
    assert first.split()[4:6] == ["experiment:1", "paused"]
    assert first.endswith('  status: "running" -> "paused"')
    assert "production" in first
    assert "cli:" in first


def test_audit__names_that_look_like_markup__are_shown_as_they_are(declared: Run, manifest: Path) -> None:
    manifest.write_text(manifest.read_text("utf-8").replace("sells more", "sells [red]more[/red]\u202e"), "utf-8")
    assert declared("apply", manifest).exit_code == 0
    assert r"[red]more[/red]\u202e" in declared("audit", "list").stdout
    assert "\u202e" not in declared("audit", "list").stdout


def test_audit__as_json__has_both_states_of_every_change(declared: Run) -> None:
    lines = json.loads(declared("audit", "list", "--json").stdout)
    assert {line["environment"] for line in lines} == {"production"}
    created = next(line for line in lines if (line["subject"], line["action"]) == ("metric:1", "create"))
    assert (created["before"], created["after"]["name"]) == (None, "purchase")


def test_audit__filters_and_pages__narrow_it(declared: Run) -> None:
    every = json.loads(declared("audit", "list", "--json").stdout)
    experiment = [line for line in every if line["subject"] == "experiment:1"]
    assert json.loads(declared("audit", "list", "--subject", "experiment", "--json").stdout) == experiment
    creations = declared("audit", "list", "--action", "create", "--actor", every[0]["actor"], "--json").stdout
    assert json.loads(creations) == [line for line in every if line["action"] == "create"]
    assert declared("audit", "list", "--actor", "nobody", "--json").stdout == "[]\n"
    pages = [declared("audit", "list", "--page-size", "2", "--page", page, "--json").stdout for page in (1, 2)]
    assert [line for page in pages for line in json.loads(page)] == every[:4]


def test_audit__page_of_many__says_how_many_there_are(declared: Run) -> None:
    count = len(json.loads(declared("audit", "list", "--json").stdout))
    assert f"1 to 2 of {count} changes" in declared("audit", "list", "--page-size", "2").stdout
    assert f"None of {count} changes" in declared("audit", "list", "--page", "99").stdout


def test_audit__environment_that_is_not_there__is_refused(declared: Run) -> None:
    refused = declared("audit", "list", "-e", "stagin")
    assert (refused.exit_code, refused.stderr) == (2, "Error: No environment 'stagin'.\n")
