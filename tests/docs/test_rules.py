"""docs/rules.md holds every rule that is cited anywhere, and the files that keep it name it."""

import re
from functools import cache

import pytest

from tests.docs.pages import ROOT, texts

PAGE = (ROOT / "docs" / "rules.md").read_text("utf-8")
CITED = re.compile(
    r"(?<!['\"])\b([DEXMSCLRPI])([0-9]|[1-9][0-9])(?:\s?-\s?\1([1-9][0-9]?))?\b"
)  # one rule, or a range; no "C4"
RULE = re.compile(r'<a id="([a-z][0-9]+)"></a>\n### ([A-Z][0-9]+) [^\n]+\n(.*?)(?=\n<a id=|\n## |\Z)', re.DOTALL)
KEPT_BY = re.compile(r"^Kept by: ((?:.+\n?)+)", re.MULTILINE)


def cited(text: str) -> set[str]:
    """Return the rules that a text names; `E3-E5` names three."""
    found: set[str] = set()
    for letter, first, last in CITED.findall(text):
        found.update(f"{letter}{number}" for number in range(int(first), int(last or first) + 1))
    return found


@cache
def kept_by() -> dict[str, list[str]]:
    """Return the files that keep each rule, as the page has them."""
    sections = {rule: section for _, rule, section in RULE.findall(PAGE)}
    return {
        rule: [path for line in KEPT_BY.findall(section) for path in re.findall(r"`([^`]+)`", line)]
        for rule, section in sections.items()
    }


def test_cited__range_and_list__names_every_rule_of_both() -> None:
    assert cited("rules E3-E5, X7") == {"E3", "E4", "E5", "X7"}


def test_rules__every_anchor__is_the_rule_below_it() -> None:
    assert {rule: anchor for anchor, rule, _ in RULE.findall(PAGE)} == {rule: rule.lower() for rule in kept_by()}
    assert len(re.findall(r"^### ", PAGE, re.MULTILINE)) == len(kept_by())


def test_rules__every_rule_cited_anywhere__stands_on_the_page() -> None:
    unknown = {path: sorted(rules - kept_by().keys()) for path, text in texts() if (rules := cited(text))}
    assert {path: rules for path, rules in unknown.items() if rules} == {}


@pytest.mark.parametrize("rule", kept_by())
def test_rules__files_that_keep_a_rule__exist_and_a_test_among_them_names_it(rule: str) -> None:
    files = kept_by()[rule]
    assert [path for path in files if not (ROOT / path).is_file()] == []
    tests = [path for path in files if path.startswith("tests/")]
    assert len(tests) < len(files)
    assert [path for path in tests if rule in cited((ROOT / path).read_text("utf-8"))] != []
