"""docs/health.md against the code: every check and every code that it can give stands there."""

import re

import pytest

from experiment_pipeline.health.catalogue import HEALTH_CHECKS
from experiment_pipeline.health.finding import Severity
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/health.md").read_text("utf-8")
ROWS = [row.split(" | ") for row in PAGE.splitlines() if row.startswith(("| `", "| |"))]
SOURCES = sorted((ROOT / "experiment_pipeline/health").glob("*.py"))
FINDING = re.compile(r"Finding\(\s*\"(\w+)\",\s*Severity\.(\w+)")
NOT_PASSED = {
    code for path in SOURCES for code, severity in FINDING.findall(path.read_text("utf-8")) if severity != "OK"
}


def test_health_page__checks__are_those_of_the_code() -> None:
    named = {name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])}
    assert named == {check.name for check in HEALTH_CHECKS}


def test_health_page__codes_that_do_not_pass__are_those_of_the_code() -> None:
    assert len(NOT_PASSED) >= len(HEALTH_CHECKS)
    assert {code for row in ROWS for code in re.findall(r"`(\w+)`", row[1])} == NOT_PASSED


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_health_page__each_row__has_a_severity_for_each_code_a_meaning_and_what_to_do(row: list[str]) -> None:
    _, codes, severities, meaning, advice = row
    shown = severities.split(", ")
    assert len(shown) == len(codes.split(", "))
    assert {Severity(each) for each in shown} <= {Severity.WARNING, Severity.ERROR}
    assert meaning
    assert advice.strip("| ")
