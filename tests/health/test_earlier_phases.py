"""Identities that saw another variant in an earlier phase are a finding with their share (rule X11)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.lifecycle import restart
from experiment_pipeline.health.earlier_phases import judge_earlier_phases
from experiment_pipeline.health.finding import Severity
from experiment_pipeline.health.inputs import HealthInputs, LakeCounts
from experiment_pipeline.results.compute import compute_results
from tests.results.subjects import experiment

START = datetime(2026, 3, 1, tzinfo=UTC)


def inputs(phases: int, changed: int, identities: dict[str, int] | None = None) -> HealthInputs:
    running = replace(experiment(), started_at=START)
    for number in range(1, phases):
        running = restart(running, None, START + timedelta(days=number))
    counted = {"control": 300, "b": 100} if identities is None else identities
    results = compute_results(running, counted, [], Floors())
    return HealthInputs(running, (), results, counted, LakeCounts(saw_another_variant=changed))


def test_finding__without_earlier_phase_or_another_variant__is_ok() -> None:
    first, second = judge_earlier_phases(inputs(1, 0)), judge_earlier_phases(inputs(3, 0))
    assert (first.severity, first.detail) == (Severity.OK, "There is no earlier phase.")
    assert (second.severity, second.detail) == (
        Severity.OK, "No identity saw another variant in the 2 earlier phases."
    )  # fmt: skip


def test_finding__of_identities_that_saw_another__has_their_share__x11() -> None:
    found = judge_earlier_phases(inputs(2, 40))
    assert (found.severity, found.code) == (Severity.WARNING, "another_variant_in_earlier_phase")
    assert found.evidence == {"earlier_phases": 1, "identities": 40, "share": 0.1}
    assert found.detail.startswith("40 of 400 identities (10 %) saw another variant in an earlier phase.")


def test_finding__of_nobody__has_a_share_of_0() -> None:
    assert judge_earlier_phases(inputs(2, 0, {})).evidence["share"] == 0.0
