"""Exposures under another spelling of the flag's name."""

import json
from dataclasses import replace

import pytest

from experiment_pipeline.domain.exposures import SeenExposures
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.flag_spelling import CHECK
from experiment_pipeline.health.inputs import LakeCounts
from tests.health.test_split import CHECKOUT, inputs


def found(*spellings: str, flag: str = "banner") -> Finding:
    lake = LakeCounts(other_spellings={name: SeenExposures(260, 200) for name in spellings})
    given = replace(inputs({"control": 50, "b": 50}), experiment=replace(CHECKOUT, feature=flag), lake=lake)
    return CHECK.judge(given)


def test_spelling__one_alone__passes() -> None:
    assert found().passed


@pytest.mark.parametrize(
    ("spelling", "flag", "told"),
    [
        ("Banner", "banner", "'banner' also came as 'Banner' (260 exposures of 200 identities)"),
        ("banner ", "banner", "'banner' also came as 'banner ' (260 exposures of 200 identities)"),
        ("cafe\u0301", "caf\u00e9", "also came as 'cafe\u0301' in another Unicode form (260 exposures"),
    ],
)
def test_spelling__another_one__is_named_with_its_counts_and_what_to_do(spelling: str, flag: str, told: str) -> None:
    finding = found(spelling, flag=flag)
    assert (finding.code, finding.severity) == ("flag_spelled_otherwise", Severity.WARNING)
    assert told in finding.detail
    assert "let the application ask for the flag by the declared name" in finding.detail
    counts = {spelling: {"exposures": 260, "identities": 200}}
    assert json.loads(json.dumps(finding.evidence)) == {"flag": flag, "spellings": counts}
