"""Whole results of version 2 metrics against the plain-Python reference: a crowd lands, and the payload comes out."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.properties.test_against_reference import assert_equal, ours
from tests.reference.events import LandingObject
from tests.reference.exposures import Experiment, Variant
from tests.reference.metrics import (
    Bound,
    Condition,
    Events,
    Funnel,
    Mean,
    Measure,
    Metric,
    Quantile,
    Ratio,
    Retention,
    Statistic,
)
from tests.reference.payloads import payloads
from tests.strategies import DAY, FEATURE, HOUR, LANDED_LATE, STARTED_AT, Scenario, object_name

CROWD = {"control": 100, "b": 95, "h": 8}
BUY, LOOK = Events("buy"), Events("look")
GERMAN = Condition("traits.country", "in", ("DE", 5))
SUM = Measure(BUY, "sum")


def metrics(random: Random) -> list[Metric]:
    """One of every kind; what may be declared of it is drawn."""
    percentile = random.choice((75, 90, 97.5))
    cap, floor = Bound(percentile=percentile, of_nonzero=random.random() < 0.5), Bound(at=random.choice((1, 2.5)))
    window = {"start": random.choice((timedelta(0), HOUR)), "end": random.choice((DAY, 2 * DAY))}
    lacking = random.choice(("mean", "min", "max", "first", "last"))
    counting = random.choice(("count", "days", "weeks", "distinct", "occurrence"))
    statistics: list[Statistic] = [
        Mean(Measure(BUY, lacking, cap=cap)),
        Mean(replace(SUM, cap=cap, floor=floor), before=random.choice((DAY, 2 * DAY))),
        Mean(Measure(LOOK, counting), before=2 * DAY),
        Mean(replace(SUM, cap=Bound(percentile=50.5))),  # of mostly zeros, in some crowds
        Mean(replace(SUM, slice_by="metadata.shop")),
        Ratio(SUM, Measure(BUY, "count")),
        Ratio(replace(SUM, cap=cap), Measure(LOOK, counting, floor=floor)),
        Quantile(random.choice((0.5, 0.75)), Measure(BUY, lacking)),  # no whole numbers, of which one end may be 0
        Quantile(random.choice((0.5, 0.9)), replace(BUY, where=(GERMAN,))),
        Retention(Measure(Events("look", start=DAY, end=2 * DAY), "occurrence")),
        Funnel((LOOK, BUY, LOOK), within=random.choice((None, DAY))),
    ]
    found = [Metric(number, each, random.choice(("up", "down"))) for number, each in enumerate(statistics, start=1)]
    in_window = Mean(Measure(Events("buy", (GERMAN,), **window), "sum", zero_if_missing=True))
    return [*found, Metric(len(found) + 1, in_window, complete=random.random() < 0.5)]


def crowd(seed: int) -> Scenario:
    """Identities of two variants and a holdout, who looked before, and look and buy afterwards."""
    random = Random(seed)
    buying, records = random.choice((0.35, 0.7)), list[dict[str, Any]]()
    for variant, size in CROWD.items():
        for number in range(size):
            traits = {"country": random.choice(("DE", "DE", "DE", "FR", 5)), "plan": random.choice(("pro", None))}
            exposed, rate = random.uniform(0, 60), random.expovariate(0.3)
            who = {"identifier": f"{variant}-{number}", "traits": traits}
            records.append(who | _at(exposed) | {"event": "$flag_exposure", "feature_name": FEATURE, "value": variant})
            for _ in range(min(9, int(rate * 2))):
                records.append(who | _at(exposed + random.uniform(-40, 40)) | {"event": "look", "value": None})
            for _ in range(random.randint(1, 4) if random.random() < buying else 0):
                worth = "?" if random.random() < 0.004 else round(random.lognormvariate(1, 1), 2)
                shop = {"metadata": {"shop": random.choice(("a", "b", 1.5))}}
                records.append(who | _at(exposed + random.uniform(-20, 40)) | shop | {"event": "buy", "value": worth})
    experiment = Experiment(
        environment_key="demo",
        feature=FEATURE,
        variants=(Variant("control", "control"), Variant("b", "treatment", 48), Variant("h", "holdout", 4)),
        metrics=metrics(random),
        started_at=STARTED_AT,
        as_of=STARTED_AT + timedelta(hours=84),
        data_version=1,
        dimensions={"country": "country", "plan": "plan"},
        cross=[("country", "plan")],
    )
    content = "\n".join(map(json.dumps, records)).encode()
    name = object_name("demo", LANDED_LATE, seed)
    return Scenario([[LandingObject(name, "demo", LANDED_LATE, content)]], experiment)


def _at(hours: float) -> dict[str, str]:
    return {"timestamp": (STARTED_AT + timedelta(milliseconds=int(hours * 3_600_000))).isoformat()}


def assert_payload_equals_the_reference(seed: int, folder: Path) -> dict[str, Any]:
    scenario = crowd(seed)
    _, results = ours(scenario, folder)
    _, wanted = payloads(scenario.batches, scenario.experiment)
    assert_equal(results, wanted)
    return wanted


def test_payload__of_a_crowd__equals_the_reference_for_every_statistic(tmp_path: Path) -> None:
    wanted = assert_payload_equals_the_reference(5, tmp_path)
    compared = [metric["metric_id"] for metric in wanted["metrics"] if metric["inference"]["b"] is not None]
    assert len(compared) == 11, "of one the quantile is too far out"
    members = {name for metric in wanted["metrics"] for name in metric}
    assert members >= {"capped", "capped_denominator", "capped_pre_period", "adjusted", "quantile", "steps", "slices"}
    assert "breakdown" in members


@pytest.mark.slow
def test_payload__of_a_crowd_that_buys_little__equals_the_reference(tmp_path: Path) -> None:
    wanted = assert_payload_equals_the_reference(1, tmp_path)
    assert 0 in [metric["capped"]["cap"] for metric in wanted["metrics"] if "capped" in metric]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 42))
def test_payload__of_many_crowds__equals_the_reference_for_every_statistic(seed: int, tmp_path: Path) -> None:
    assert_payload_equals_the_reference(seed, tmp_path)
