"""Event ids that came again with another time or value (rule E4)."""

import json
from dataclasses import replace

from experiment_pipeline.domain.event_ids import RepeatedEventIds
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import LakeCounts
from experiment_pipeline.health.repeated_event_ids import CHECK
from tests.health.test_split import inputs


def found(ids: RepeatedEventIds) -> Finding:
    return CHECK.judge(replace(inputs({"control": 50, "b": 50}), lake=LakeCounts(repeated_ids=ids)))


def test_event_ids__of_one_event_each__pass() -> None:
    finding = found(RepeatedEventIds())
    assert (finding.code, finding.passed) == ("event_ids_sent_once", True)


def test_event_ids__of_several_events__are_a_warning_with_their_number() -> None:
    finding = found(RepeatedEventIds(ids=1_200, events=2_500))
    assert (finding.code, finding.severity) == ("repeated_event_ids", Severity.WARNING)
    assert finding.detail.startswith("1,200 event ids stand on 2,500 different events of the same identity: each")
    assert json.loads(json.dumps(finding.evidence)) == {"ids": 1_200, "events": 2_500, "share_of_identities": 1.0}


def test_event_ids__of_a_part_of_the_identities__say_which() -> None:
    assert "identity among 12 % of the identities:" in found(RepeatedEventIds(3, 6, share=0.125)).detail
