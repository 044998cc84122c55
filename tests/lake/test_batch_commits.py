"""What a commit says of a landing object."""

import json
from dataclasses import replace

import pytest

from experiment_pipeline.domain.batches import LandedObject, RejectedRows
from experiment_pipeline.lake.batch_commits import from_fields, to_fields
from tests.lake.ledger import NOW, PROD

PLAIN = LandedObject(f"events/env_key={PROD}/a.jsonl", PROD, NOW, 10)


@pytest.mark.parametrize(
    "landed",
    [
        PLAIN,
        replace(PLAIN, modified_at=NOW.replace(microsecond=123), reading=2),
        replace(PLAIN, reading=3, retried=RejectedRows(1, "unknown_environment")),
    ],
)
def test_fields__of_an_object__are_read_back(landed: LandedObject) -> None:
    assert from_fields(json.loads(json.dumps(to_fields(landed)))) == landed


def test_fields__of_an_older_commit__are_name_arrival_and_size() -> None:
    assert from_fields(to_fields(PLAIN)[:3]) == PLAIN
