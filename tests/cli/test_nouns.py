"""Environments, experiments, metrics and keys on the command line."""

import json
from pathlib import Path

import pytest

from experiment_pipeline.registry.repository import Registry
from tests.cli.conftest import Run

EXPERIMENT = "checkout"


def test_environments__created__are_listed(run: Run) -> None:
    assert run("environments", "create", "production", "--name", "Production").exit_code == 0
    assert json.loads(run("environments", "list", "--json").stdout) == [{"key": "production", "name": "Production"}]
    assert "Production" in run("environments", "list").stdout
    again = run("environments", "create", "production")
    assert (again.exit_code, again.stderr) == (2, "Error: An environment 'production' already exists.\n")
    assert run("environments", "create", "a/b").exit_code == 2


def test_experiments__listed_and_shown__as_table_and_json(declared: Run) -> None:
    listed = declared("experiments", "list", "--status", "running", "--search", "CHECK")
    assert "checkout_button" in listed.stdout
    assert json.loads(declared("experiments", "list", "--status", "paused", "--json").stdout) == []
    shown = declared("experiments", "show", EXPERIMENT).stdout
    assert "larger: 50 %, treatment" in shown
    (listed_json,) = json.loads(declared("experiments", "list", "--json").stdout)
    assert json.loads(declared("experiments", "show", EXPERIMENT, "--json").stdout) == listed_json
    assert listed_json["status"] == "running"


def test_experiments__through_a_life__say_where_they_are(declared: Run) -> None:
    refused = declared("experiments", "delete", EXPERIMENT)
    assert (refused.exit_code, refused.stderr) == (
        2, "Error: Cannot delete a running experiment. Pause or complete it first.\n",
    )  # fmt: skip
    for step, status in (("pause", "paused"), ("start", "running"), ("complete", "completed")):
        assert declared("experiments", step, EXPERIMENT).stdout == f"checkout is {status}.\n"
    refused = declared("experiments", "start", EXPERIMENT)
    assert (refused.exit_code, refused.stderr) == (2, "Error: Cannot transition from 'completed' to 'running'.\n")
    assert declared("experiments", "delete", EXPERIMENT).stdout == "Deleted checkout.\n"
    assert declared("experiments", "show", EXPERIMENT).exit_code == 2


def test_metrics__in_use__cannot_be_deleted(declared: Run) -> None:
    assert "purchase" in declared("metrics", "list").stdout
    assert json.loads(declared("metrics", "list", "--json").stdout)[0]["definition"]["event"] == "purchase"
    refused = declared("metrics", "delete", "purchase")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: Cannot delete a metric attached to an active experiment.")


def test_keys__created_listed_revoked__show_their_token_once(declared: Run) -> None:
    created = declared("keys", "create", "--scope", "read", "--name", "dashboard")
    token = created.stdout.strip()
    prefix = token.split("_")[1]
    (key,) = json.loads(declared("keys", "list", "--json").stdout)
    assert (key["prefix"], key["scope"], key["name"]) == (prefix, "read", "dashboard")
    assert token not in declared("keys", "list").stdout
    assert declared("keys", "revoke", prefix).stdout == f"Revoked key {prefix}.\n"
    assert json.loads(declared("keys", "list", "--json").stdout)[0]["revoked_at"]
    assert declared("keys", "revoke", "unknown").exit_code == 2


def test_environment__several_or_none__must_be_named(run: Run, tmp_path: Path) -> None:
    Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}").close()
    assert "There is none yet" in run("metrics", "delete", "purchase").stderr
    for key in ("a", "b"):
        run("environments", "create", key)
    refused = run("keys", "create", "--scope", "read")
    assert (refused.exit_code, refused.stderr) == (2, "Error: --environment: Name one of a, b.\n")
    assert run("keys", "create", "--scope", "read", "--environment", "b").exit_code == 0
    assert run("metrics", "list", "-e", "c").stderr == "Error: No environment 'c'.\n"


def test_registry__that_does_not_answer__is_one_line_and_exit_code_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERIMENT_PIPELINE_REGISTRY_URL", "postgresql://user:secret@127.0.0.1:1/none")
    broken = run("environments", "list")
    assert broken.exit_code == 1
    assert broken.stderr.startswith("Error: The registry's database does not answer: ")
    assert "secret" not in broken.stderr
    assert broken.stderr.count("\n") == 1


def test_experiments__of_every_environment__are_listed_with_it_and_nearly_named_ones_suggested(declared: Run) -> None:
    declared("environments", "create", "staging")
    assert "production" in declared("experiments", "list").stdout
    assert json.loads(declared("experiments", "list", "--json").stdout)[0]["environment"] == "production"
    assert declared("experiments", "list", "-e", "staging", "--json").stdout == "[]\n"
    missed = "Error: No experiment 'chekout'. Did you mean 'checkout'?\n"
    assert declared("results", "chekout").stderr == missed
    assert declared("metrics", "list", "-e", "stagin").stderr.endswith("Did you mean 'staging'?\n")


def test_metrics__of_every_environment__are_listed_with_it(declared: Run, manifest: Path) -> None:
    manifest.write_text(manifest.read_text("utf-8").replace("production", "staging"), "utf-8")
    assert declared("apply", manifest).exit_code == 0
    assert all(environment in declared("metrics", "list").stdout for environment in ("production", "staging"))
    listed = json.loads(declared("metrics", "list", "--json").stdout)
    assert [(each["environment"], each["name"]) for each in listed] == [
        ("staging", "purchase"),
        ("production", "purchase"),
    ]
    (one,) = json.loads(declared("metrics", "list", "--environment", "production", "--json").stdout)
    assert one == listed[1]
