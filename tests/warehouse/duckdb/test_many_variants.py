"""As many variants as identities: a sender chooses how many there are, and refreshes stay what they were (rule X6).

Work is counted in calls of functions, which no other load on the machine changes.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.exposures import summarise_exposures
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.results.payload import exposures_payload
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.duckdb.population import Population
from experiment_pipeline.warehouse.frame_schemas import listed_exposures, metric_aggregates, validated
from tests.warehouse.contract import FEATURE, HOUR, Build, did, metric, scope, seen
from tests.warehouse.duckdb.test_warehouse import build  # noqa: F401 - the fixture

IDENTITIES = 3_000
VARIANTS = ("b", "control")


def calls_of(work: Callable[[], object]) -> int:
    """How many functions a piece of work calls in this thread."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def refresh(engine: Warehouse, of: AnalysisScope) -> dict[str, Any]:
    """Run the part of a refresh besides results, which are about compared variants alone."""
    buckets = validated("exposure_buckets", engine.exposure_buckets(of).rows)
    listed, unlisted = listed_exposures(buckets, VARIANTS)
    metrics = (metric(1, Aggregation.SUM), metric(2, Aggregation.OCCURRENCE))
    aggregates = validated("variant_aggregates", engine.variant_aggregates(of, metrics).rows)
    return {
        "exposures": exposures_payload(summarise_exposures(listed, of.window.granularity, unlisted)),
        "aggregates": metric_aggregates(aggregates),
        "identities": engine.variant_identities(of),
    }


def engine_over(build: Build, variant_of: Callable[[int], str]) -> tuple[Warehouse, AnalysisScope]:  # noqa: F811
    events = [seen(number, variant_of(number), HOUR) for number in range(IDENTITIES)]
    engine = build([*events, *(did(number, 2.0, 2 * HOUR) for number in range(0, IDENTITIES, 2))])
    plain = scope()
    of = AnalysisScope(plain.partition_key, "prod", FEATURE, plain.window, 1, variants=VARIANTS)
    engine.write_first_exposures(of)
    return engine, of


def test_refresh__over_as_many_variants_as_identities__calls_no_more_than_over_three__x6(build: Build) -> None:  # noqa: F811
    few, few_of = engine_over(build, lambda number: ("b", "control", "other")[number % 3])
    many, many_of = engine_over(build, lambda number: (*VARIANTS, f"value-{number}")[min(number, 2)])
    refresh(few, few_of)  # what only the first one pays for
    assert calls_of(lambda: refresh(many, many_of)) < 1.5 * calls_of(lambda: refresh(few, few_of))


def test_refresh__over_as_many_variants_as_identities__lists_few_and_counts_all__x6(build: Build) -> None:  # noqa: F811
    engine, of = engine_over(build, lambda number: (*VARIANTS, f"value-{number}")[min(number, 2)])
    found = refresh(engine, of)
    (point,) = found["exposures"]["timeseries"]["points"]
    assert len(point["new_identities"]) == len(VARIANTS) + 20
    assert sum(point["new_identities"].values()) + point["unlisted_identities"] == IDENTITIES
    assert found["exposures"]["unlisted_variants"] == IDENTITIES - len(VARIANTS) - 20
    assert [set(each.by_variant) for each in found["aggregates"]] == [set(VARIANTS)] * 2
    assert sum(found["identities"].values()) == IDENTITIES


@pytest.mark.parametrize("arms", [1, 7, 500])
def test_population__of_any_number_of_arms__looks_at_each_identity_once(arms: int) -> None:
    hashes, arm = np.arange(500)[::-1].copy(), np.arange(500) % arms
    members = Population(hashes, np.zeros(500, np.int64), arm, arms).members
    assert sorted(np.concatenate(members).tolist()) == list(range(500))
    for number, those in enumerate(members):
        assert {int(arm[::-1][member]) for member in those} == {number}
    fewer = calls_of(lambda: Population(hashes, np.zeros(500, np.int64), np.zeros(500, np.int64), 1))
    assert calls_of(lambda: Population(hashes, np.zeros(500, np.int64), arm, arms)) <= fewer + 10
