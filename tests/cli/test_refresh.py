"""`experiment-pipeline refresh`: asks, computes in this process, shows."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from experiment_pipeline.cli import refresh
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.engine import writing
from experiment_pipeline.registry.registry import Registry
from tests.cli.conftest import Run


def test_refresh__on_an_empty_lake__publishes_and_serves_its_claim(declared: Run) -> None:
    refreshed = declared("refresh", "checkout", "--json")
    assert refreshed.exit_code == 0, refreshed.output
    document = json.loads(refreshed.stdout)
    assert "0 identities exposed" in declared("results", "checkout").stdout
    payloads = json.loads(declared("results", "checkout", "--json").stdout)
    assert document == payloads
    assert (document["key"], document["environment"], document["data_version"]) == ("checkout", "production", 0)
    assert payloads["results"]["payload"]["srm_p_value"] is None
    assert payloads["exposures"]["payload"]["excluded_identities"] == 0
    tables = json.loads(declared("tables", "status", "--json").stdout)
    assert (tables["complete"], tables["tables"]["looks"]["rows"]) == (True, 1)


def test_refresh__within_the_interval__is_refused(declared: Run) -> None:
    assert declared("refresh", "checkout", "--no-wait").stdout == "Asked for a refresh of checkout.\n"
    refused = declared("refresh", "checkout")
    assert refused.exit_code == 2
    told = (
        r"Error: A refresh was requested recently\. Try again later\. (\d+) seconds are left "
        r"\(EXPERIMENT_PIPELINE_REFRESH_MIN_INTERVAL sets the interval\); `refresh --force` does not wait\.\n"
    )
    match = re.fullmatch(told, refused.stderr)
    assert match is not None, refused.stderr
    assert 0 < int(match[1]) <= 300


def test_refresh__forced_within_the_interval__is_computed_and_audited(declared: Run) -> None:
    declared("refresh", "checkout", "--no-wait")
    forced = declared("refresh", "checkout", "--force", "--no-wait", "--json")
    assert forced.exit_code == 0, forced.output
    assert json.loads(forced.stdout)["requested"] == "checkout"
    (line,) = json.loads(declared("audit", "list", "--action", "force_refresh", "--json").stdout)
    assert (line["subject"], line["environment"]) == ("experiment:1", "production")
    assert line["actor"].startswith("cli:")


@pytest.mark.parametrize("arguments", [(), ("--force",)])
def test_refresh__of_what_is_final__is_one_line_and_exit_code_2(
    declared: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    with writing(registry.engine) as connection:
        connection.execute(update(tables.computations).values(is_final=True))
    registry.close()
    refused = declared("refresh", "checkout", *arguments)
    assert refused.exit_code == 2
    assert refused.stderr == "Error: Results are final for this completed experiment.\n"


def test_refresh__that_a_restart_overtakes__shows_the_phase_that_was_computed__x9(
    declared: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = refresh._run

    def restarted(*arguments: Any) -> None:
        assert declared("experiments", "restart", "checkout", "--yes").exit_code == 0
        compute(*arguments)

    monkeypatch.setattr(refresh, "_run", restarted)
    told = declared("refresh", "checkout", "--json")
    assert told.exit_code == 0, told.output
    message = "'checkout' was restarted meanwhile: this is phase 2. Of phase 1: "
    assert f"{message}experiment-pipeline refresh checkout --phase 1\n" in told.stderr
    assert json.loads(told.stdout)["phase"] == 2


def test_refresh__unknown_experiment__is_refused(declared: Run) -> None:
    assert declared("refresh", "nothing").exit_code == 2


def test_refresh__while_another_run_holds_the_experiment__says_so(declared: Run, tmp_path: Path) -> None:
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    registry.runs.open(1, "other", datetime.now(UTC), timedelta(minutes=5))
    registry.close()
    refused = declared("refresh", "checkout")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: Run other holds experiment 'checkout' until ")
