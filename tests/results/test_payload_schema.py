"""Every payload that a test makes is held against the documented schema, in which nothing undeclared is allowed."""

from typing import Any

import jsonschema_rs
import pytest

from experiment_pipeline.assets import stages
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.results import payload
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import results_payload
from tests.payload_schema import results_validator
from tests.results.subjects import experiment, rate, results


def shown() -> Any:
    return results_payload(results(experiment(), {"control": rate(1000, 100), "b": rate(1000, 200)}))


@pytest.mark.parametrize(
    "path", [(), ("srm",), ("metrics", 0), ("metrics", 0, "anytime", "b"), ("metrics", 0, "frequentist", "b")]
)
def test_schema__member_that_is_not_declared__is_refused_at_every_level(path: tuple[str | int, ...]) -> None:
    made = part = shown()
    for step in path:
        part = part[step]
    part["surprise"] = 1
    with pytest.raises(jsonschema_rs.ValidationError, match="surprise"):
        results_validator().validate(made)


def test_schema__payload_of_version_1__is_valid_still() -> None:
    members = {"metric_id", "variants", "inference", "effect", "expected_loss", "verdict", "reason"}
    made = shown()
    made["metrics"] = [{member: metric[member] for member in members} for metric in made["metrics"]]
    results_validator().validate(made)
    del made["metrics"][0]["effect"]
    with pytest.raises(jsonschema_rs.ValidationError, match="effect"):
        results_validator().validate(made)


def test_payload__made_by_any_test__is_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vars(stages)["results_payload"] is payload.results_payload is results_payload
    monkeypatch.setattr(payload, "metric_payload", lambda *_: {"surprise": 1})
    with pytest.raises(jsonschema_rs.ValidationError):
        results_payload(compute_results(experiment(), {}, [], Floors()))
