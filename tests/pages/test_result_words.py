"""Words of the results, explained."""

from experiment_pipeline.pages.result_words import WORDS, explanation
from experiment_pipeline.stats.verdict import Verdict


def test_explanation__has_every_verdict_and_a_link() -> None:
    assert {verdict.value.replace("_", " ") for verdict in Verdict} <= WORDS.keys()
    assert "docs/statistics.md" in explanation()


def test_explanation__has_the_lines_beside_the_table() -> None:
    assert {"decision", "planned look", "with the prior"} <= WORDS.keys()
