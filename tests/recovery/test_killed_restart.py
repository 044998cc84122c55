"""A restart that is killed at any statement has happened as a whole, or not at all (rule X9)."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, NOW, draft

ROOT = Path(__file__).parents[2]
MOST_STATEMENTS = 60
pytestmark = pytest.mark.slow


def test_restart__killed_at_each_of_its_statements__happened_as_a_whole_or_not_at_all(database_url: str) -> None:
    registry = Registry.open(database_url)
    registry.environments.create("production", "Production", actor=ACTOR, now=NOW)
    created = registry.experiments.create("production", draft(), actor=ACTOR, now=NOW)
    before = registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
    outcomes = []
    for number in range(1, MOST_STATEMENTS):
        arguments = [sys.executable, "-m", "tests.recovery.killed_restart", database_url, str(number)]
        ended = subprocess.run([*arguments, (NOW + HOUR).isoformat()], cwd=ROOT, check=False, timeout=600).returncode
        outcomes.append(ended)
        found = registry.experiments.get(created.id)
        waiting = registry.claims.list_waiting(created.id)
        logged = registry.audit.list(subject=f"experiment:{created.id}", action="restart")
        if found.phase == 1:
            assert (found, waiting, logged) == (before, [], [])
            assert ended == -signal.SIGKILL
            continue
        assert (found.phase, found.in_phase(1).ended_at, found.started_at) == (2, NOW + HOUR, NOW + HOUR)
        assert [arm.percentage_allocation for arm in found.variants] == [80.0, 20.0]
        assert [(each.computation, each.phase) for each in waiting] == [(each, 1) for each in Computation]
        assert len(logged) == 1
        for phase in (1, 2):
            assert [registry.computations.get(created.id, each, phase).phase for each in Computation] == [phase] * 2
        break
    else:
        pytest.fail(f"the restart has more than {MOST_STATEMENTS} statements")
    assert outcomes.count(-signal.SIGKILL) >= 10, "it was killed on its way, again and again"
    registry.close()
