"""`experiment-pipeline refresh`: asks, computes in this process, shows."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from experiment_pipeline.registry.registry import Registry
from tests.cli.conftest import Run


def test_refresh__on_an_empty_lake__publishes_and_serves_its_claim(declared: Run) -> None:
    shown = declared("refresh", "checkout")
    assert shown.exit_code == 0, shown.output
    assert "0 identities exposed" in shown.stdout
    payloads = json.loads(declared("results", "checkout", "--json").stdout)
    assert payloads["results"]["payload"]["srm_p_value"] is None
    assert payloads["exposures"]["payload"]["excluded_identities"] == 0


def test_refresh__within_the_interval__is_refused(declared: Run) -> None:
    assert declared("refresh", "checkout", "--no-wait").stdout == "Asked for a refresh of checkout.\n"
    refused = declared("refresh", "checkout")
    assert refused.exit_code == 2
    told = r"Error: A refresh was requested recently\. Try again later\. (29\d|300) seconds are left\.\n"
    assert re.fullmatch(told, refused.stderr)


def test_refresh__unknown_experiment__is_refused(declared: Run) -> None:
    assert declared("refresh", "nothing").exit_code == 2


def test_refresh__while_another_run_holds_the_experiment__says_so(declared: Run, tmp_path: Path) -> None:
    registry = Registry.open(f"sqlite:///{tmp_path / 'data' / 'registry.sqlite'}")
    registry.runs.open(1, "other", datetime.now(UTC), timedelta(minutes=5))
    registry.close()
    refused = declared("refresh", "checkout")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: Run other holds experiment 'checkout' until ")
