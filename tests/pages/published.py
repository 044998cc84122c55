"""Published results of one experiment, as the registry keeps them: JSON, read again."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from experiment_pipeline.domain.aggregates import MetricAggregates, VariantAggregate
from experiment_pipeline.domain.experiments import Experiment, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.looks import Look, Movement
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection
from experiment_pipeline.domain.refresh import Computation, ComputationState, ComputedTogether, StoredHealth
from experiment_pipeline.pages.view import ExperimentView, experiment_view
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.decision import decide_experiment
from experiment_pipeline.results.payload import results_payload
from tests.metrics import version_1
from tests.results.subjects import CONTROL, experiment, rate

START = datetime(2026, 3, 1, tzinfo=UTC)
AS_OF = START + timedelta(days=10)
HOSTILE = {  # texts that would be obeyed somewhere if they were not escaped
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;\"'",
    "svg": "]]></text></svg><svg onload='alert(1)'><![CDATA[ &#0; &x; \ufffe\uffff\x00",
    "markdown": "![x](http://127.0.0.1/x) | [a](javascript:alert(1)) | `code` **bold** <b> \\| _\n# heading\n\n- list",
    "formula": '=HYPERLINK("http://127.0.0.1";"x")',
    "right-to-left": "\u202eevil\u2066 שלום עולם مرحبا",
    "long": "n" * 2_000,
}


def of(number: int, name: str, expected: ExpectedDirection = ExpectedDirection.INCREASE) -> AttachedMetric:
    """Return an attached metric that is a share of identities."""
    return AttachedMetric(version_1(number, "prod", name, f"event {number}", Aggregation.OCCURRENCE), expected)


def subject(metrics: int = 2, treatments: int = 1, name: str = "bought", **changes: Any) -> Experiment:
    """Return a running experiment; its second metric is a guardrail."""
    keys = [chr(ord("b") + number) for number in range(treatments)]
    share = 100 / (treatments + 1)
    attached = [
        of(7 + number, name if not number else f"{name} {number}",
           ExpectedDirection.NOT_DECREASE if number == 1 else ExpectedDirection.INCREASE)
        for number in range(metrics)
    ]  # fmt: skip
    built = experiment((CONTROL, *(Variant(key, VariantRole.TREATMENT, share) for key in keys)), started_at=START)
    return replace(built, **{"metrics": tuple(attached), "hypothesis": "A larger button sells more.", **changes})


def payload_of(
    of_experiment: Experiment, n: int = 2_000, treated: int = 1_200, movement: Movement | None = None
) -> Any:
    """Return the results payload in which 40 % of control and `treated` of every treatment's `n` convert."""
    arms: Mapping[str, VariantAggregate | None] = {
        key: rate(n, 2 * n // 5 if key == "control" else treated) for key in of_experiment.compared_keys
    }
    found = [MetricAggregates(each.metric.id, dict(arms)) for each in of_experiment.metrics]
    computed = compute_results(of_experiment, dict.fromkeys(arms, n), found, Floors(), as_of=AS_OF)
    decided = decide_experiment(of_experiment, computed)
    return json.loads(json.dumps(results_payload(computed, movement, decided), allow_nan=False))


def state(computation: Computation, payload: Any) -> ComputationState:
    times = (AS_OF, 3, AS_OF + timedelta(minutes=1))
    return ComputationState(computation, *times, payload, False, None, 0, None, 1.0)


def exposures_of(of_experiment: Experiment, days: int = 10, daily: int = 200) -> dict[str, Any]:
    points = [
        {
            "bucket": f"{START + timedelta(days=day):%Y-%m-%dT%H:%M:%SZ}",
            "new_identities": dict.fromkeys(of_experiment.compared_keys, daily),
        }
        for day in range(days)
    ]
    return {"excluded_identities": 12, "timeseries": {"granularity": "day", "points": points}}


def together(of_experiment: Experiment, results: Any = None, exposures: Any = None) -> ComputedTogether:
    """Return both halves as they are published."""
    results, exposures = results or payload_of(of_experiment), exposures or exposures_of(of_experiment)
    return ComputedTogether(state(Computation.EXPOSURES, exposures), state(Computation.RESULTS, results))


def looks_of(of_experiment: Experiment, count: int = 5) -> list[Look]:
    """Return looks, newest first, in which the treatment comes to win."""
    looks = []
    for number in range(1, count + 1):
        at = AS_OF - timedelta(days=count - number)
        first = Movement.first(2 * 400 * number)
        later = Movement(number, at - timedelta(days=1), 800, late_events=7, restated_identities=3, newly_quarantined=1)
        payload = payload_of(of_experiment, 400 * number, 200 * number, later if number > 1 else first)
        looks.append(Look(number, at, number, at, "c0de", payload))
    return looks[::-1]


def finding(check: str = "late_events", severity: str = "warning", **changes: str) -> dict[str, Any]:
    told = {"code": check, "title": "Events came late", "detail": "3 of 100 events came late.", **changes}
    return {"check": check, "severity": severity, "evidence": {}, **told}


def view_of(of_experiment: Experiment, **results: Any) -> ExperimentView:
    """Return the view of an experiment with looks and findings."""
    health = StoredHealth(AS_OF, 3, [finding("split_as_configured", "ok"), finding()])
    looks = looks_of(of_experiment)
    payload = payload_of(of_experiment, movement=Movement(5, AS_OF - timedelta(days=1), 800, late_events=7)) | results
    return experiment_view(of_experiment, together(of_experiment, payload), health, looks)
