"""Planned looks through the pipeline: stored with the payload that is the look, read by the next refresh (C7, C8)."""

from datetime import UTC, datetime

from experiment_pipeline.schemas.manifests import parse_manifest
from tests.assets.conftest import MANIFEST, Installation, crowd

PLANNED = """
  planned:
    <<: *experiment
    feature: planned
    design: {mde: 0.5, baseline: 0.5, n_looks: 4}
"""


def test_refresh__of_a_planned_design__takes_its_looks_once_and_decides_by_them__c7(installation: Installation) -> None:
    installation.registry.manifests.apply(parse_manifest(MANIFEST + PLANNED), actor="test", now=datetime.now(UTC))
    installation.land("first", crowd(60, 60, feature="planned"))
    installation.ingest()
    assert installation.refresh("planned").success
    first = installation.state(key="planned")
    assert first.payload is not None
    looked = first.payload["metrics"][0]["planned_looks"]["b"]
    (look,) = looked["looks"]
    assert (look["number"], look["crossed"], looked["n_looks"]) == (3, False, 4)
    assert first.payload["decision"]["action"] == "keep_running"
    assert installation.refresh("planned").success
    installation.land("second", crowd(100, 100, feature="planned"))
    installation.ingest()
    assert installation.refresh("planned").success
    last = installation.state(key="planned").payload
    assert last is not None
    assert [each["number"] for each in last["metrics"][0]["planned_looks"]["b"]["looks"]] == [3, 4]
    assert last["metrics"][0]["planned_looks"]["b"]["looks"][0] == look
    assert (last["decision"]["action"], last["decision"]["rule"]) == ("inconclusive", "8_time_is_over")
    stored = installation.registry.planned_looks.list(installation.experiment("planned").id)
    assert [each.look.number for each in stored] == [3, 4]
