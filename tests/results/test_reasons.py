"""Reasons in words: every one that the statistics page lists has some."""

import re

import pytest

from experiment_pipeline.results.reasons import REASONS, briefly, in_words
from tests.docs.pages import ROOT


def test_reasons__of_the_statistics_page__all_have_words() -> None:
    page = (ROOT / "docs" / "statistics.md").read_text("utf-8").partition("## What is withheld, and why")[2]
    rows = re.findall(r"^\| (`[a-z_0-9`, ]+`) \|", page, re.MULTILINE)
    listed = {name for row in rows for name in re.findall("`([a-z_0-9]+)`", row)}
    assert listed == set(REASONS)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("below_minimum_nonzero", "too few identities that are not 0"),
        ("of_a_newer_version", "of a newer version"),
    ],
)
def test_in_words__is_a_phrase_and_of_an_unknown_reason_its_name(reason: str, words: str) -> None:
    assert in_words(reason) == words


def test_briefly__leaves_out_what_to_do() -> None:
    assert in_words("cap_is_zero").endswith("of_nonzero: true")
    assert briefly("cap_is_zero") == "the cap is 0, so that every value would count as 0"
    assert briefly("too_few_values") == in_words("too_few_values")
