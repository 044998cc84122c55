"""Experiments with published looks, for pages: any number of metrics and treatments, computed by the real functions."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from experiment_pipeline.domain.drafts import ExperimentDraft, MetricDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.looks import Movement
from experiment_pipeline.domain.refresh import Computation, Publication
from experiment_pipeline.registry.registry import Registry
from tests.pages.published import finding, payload_of

ACTOR = "tests"
HOUR = timedelta(hours=1)
SQL = "select variant, sum(value) from measured\nwhere value < $cap and name <> '\u202e'"
MANY = {"metrics": 30, "treatments": 7}


def declare_metric(registry: Registry, name: str, now: datetime, environment: str = "production") -> int:
    """Declare a metric that is a share of identities, and return its number."""
    draft = {"name": name, "aggregation": "occurrence", "definition": {"version": 1, "event": f"event of {name[:40]}"}}
    checked = TypeAdapter(MetricDraft).validate_python(draft)
    return registry.metrics.create(environment, checked, actor=ACTOR, now=now).id


def declare(
    registry: Registry,
    key: str,
    now: datetime,
    *,
    metrics: tuple[int, ...] = (),
    treatments: int = 1,
    start: bool = True,
    **changes: Any,
) -> Experiment:
    """Declare an experiment of the environment `production`, and start it."""
    share = 100 / (treatments + 1)
    draft = {
        "key": key,
        "name": changes.pop("name", f"Experiment {key}"),
        "hypothesis": "A larger button sells more.",
        "feature": changes.pop("feature", f"flag_{key}"),
        "variants": changes.pop(
            "variants",
            [{"key": chr(ord("b") + number), "percentage_allocation": share} for number in range(treatments)],
        ),
        "metrics": [
            {"metric": metric, "expected_direction": "not_decrease" if number == 1 else "increase"}
            for number, metric in enumerate(metrics)
        ],
        **changes,
    }
    checked = TypeAdapter(ExperimentDraft).validate_python(draft)
    created = registry.experiments.create("production", checked, actor=ACTOR, now=now)
    if not start:
        return created
    return registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=now)


def publish_look(
    registry: Registry,
    experiment: Experiment,
    number: int,
    now: datetime,
    severity: str = "warning",
    *,
    further: Sequence[Mapping[str, object]] = (),
) -> None:
    """Publish exposures, results and findings of one look, in which every treatment converts more."""
    n = 1_000 * number
    movement = Movement.first(2 * n) if number == 1 else Movement(number, now - HOUR, 800, late_events=7)
    payloads = {
        Computation.EXPOSURES: _exposures(experiment, number, n),
        Computation.RESULTS: payload_of(experiment, n, n // 2, movement),
    }
    findings = [finding("late_events", severity, detail="3 of 100 events came late. Ask who sends them."),
                finding("split_as_configured", "ok", title="The split is as configured"), *further]  # fmt: skip
    registry.batches.record_scan(now)
    run = registry.runs.open(experiment.id, f"run {experiment.key} {number}", now, HOUR)
    for computation, payload in payloads.items():
        found = findings if computation is Computation.RESULTS else None
        sql = SQL if computation is Computation.RESULTS else None
        registry.computations.publish(
            Publication(run, computation, payload, "c0de" * 8, now, HOUR, findings=found, sql=sql)
        )
    registry.runs.release_lease(run)


def _exposures(experiment: Experiment, days: int, n: int) -> dict[str, Any]:
    daily = dict.fromkeys(experiment.compared_keys, n // days)
    assert experiment.started_at is not None
    points = [
        {
            "bucket": f"{experiment.started_at + timedelta(days=day):%Y-%m-%dT00:00:00Z}",
            "new_identities": daily,
        }
        for day in range(days)
    ]
    return {"excluded_identities": 12, "timeseries": {"granularity": "day", "points": points}}
