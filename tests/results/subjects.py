"""An experiment of one metric, its aggregates, and what is computed of them."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from experiment_pipeline.domain.aggregates import MetricAggregates, VariantAggregate
from experiment_pipeline.domain.experiments import Design, Experiment, ExperimentStatus, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import AttachedMetric, ExpectedDirection, Metric
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.model import ExperimentResults
from experiment_pipeline.results.payload import results_payload
from tests.metrics import version_1

CONTROL = Variant("control", VariantRole.CONTROL)
EVEN = (CONTROL, Variant("b", VariantRole.TREATMENT, 50))
PURCHASE = version_1(7, "prod", "bought", "purchase", Aggregation.OCCURRENCE)
Moments = Mapping[str, VariantAggregate | None]


def experiment(
    variants: tuple[Variant, ...] = EVEN,
    metric: Metric = PURCHASE,
    expected: ExpectedDirection = ExpectedDirection.INCREASE,
    design: Design | None = None,
    started_at: datetime | None = None,
) -> Experiment:
    return Experiment(
        id=1,
        environment_key="prod",
        key="checkout",
        partition_key="checkout-1",
        name="Checkout",
        feature="checkout",
        status=ExperimentStatus.RUNNING,
        variants=variants,
        metrics=(AttachedMetric(metric, expected),),
        design=design or Design(),
        started_at=started_at,
    )


def rate(n: int, conversions: int) -> VariantAggregate:
    """Return the aggregate of zeros and ones."""
    return VariantAggregate(n, conversions / n, conversions * (1 - conversions / n))


def results(subject: Experiment, moments: Moments, extra: Mapping[str, int] | None = None) -> ExperimentResults:
    identities = {key: aggregate.n if aggregate else 1000 for key, aggregate in moments.items()} | dict(extra or {})
    return compute_results(subject, identities, [MetricAggregates(7, dict(moments))], Floors())


def metric_payload(computed: ExperimentResults) -> dict[str, Any]:
    payload = json.loads(json.dumps(results_payload(computed), allow_nan=False))
    (metric,) = payload["metrics"]
    assert isinstance(metric, dict)
    return metric
