"""docs/statistics.md keeps its promise: every reason for which something is withheld stands there."""

import re
from pathlib import Path
from typing import get_type_hints

from experiment_pipeline.results.metric_payload import MetricPayload

ROOT = Path(__file__).parent.parent.parent
GIVEN = re.compile(r'(?:NotComputable\(|SharesUnknown\(reason=)"(\w+)"')


def test_statistics_page__every_reason__is_explained() -> None:
    sources = (ROOT / "experiment_pipeline").rglob("*.py")
    reasons = {reason for path in sources for reason in GIVEN.findall(path.read_text("utf-8"))}
    page = (ROOT / "docs" / "statistics.md").read_text("utf-8")
    assert {"below_minimum_identities", "variant_without_key"} <= reasons
    assert {reason for reason in reasons if f"`{reason}`" not in page} == set()


def test_statistics_page__every_statistic_of_a_metrics_payload__is_explained() -> None:
    page = (ROOT / "docs" / "statistics.md").read_text("utf-8")
    named = {"metric_id", "name", "variants", "type", "unit"}  # of what it is about; no statistics
    assert {member for member in set(get_type_hints(MetricPayload)) - named if f"`{member}" not in page} == set()
