"""The report as one HTML file: it loads nothing, runs nothing, and shows every text as it is."""

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from typing_extensions import override

from experiment_pipeline.domain.refresh import Computation, ComputedTogether, StoredHealth
from experiment_pipeline.pages.report import report_html
from experiment_pipeline.pages.view import experiment_view
from tests.pages.published import AS_OF, HOSTILE, finding, looks_of, payload_of, state, subject, together, view_of
from tests.pages.test_view import older

DRAWN = {"svg", "title", "line", "polyline", "polygon", "circle", "text"}
WRITTEN = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer", "div", "h1", "h2", "p"),
    *("table", "thead", "tbody", "tr", "th", "td", "ul", "li", "strong", "em", "span", "bdi", "br"),
    *("details", "summary"),
}
UNCLOSED = {"meta", "br"}


class Page(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, "every element is closed"

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        if tag not in UNCLOSED:
            self._open.append(tag)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {name for name, _ in attrs}

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


def test_report__of_an_experiment__has_decision_split_metrics_pictures_and_health() -> None:
    page = Page(report_html(view_of(subject())))
    for told in ("ship b", "Rule 7 primary winning", "split sound", "+50.00 %", "winning", "Events came late"):
        assert told in page.text
    assert page.elements["svg"] == 3
    assert "look 5; since 2026-03-10 00:00 UTC" in page.text
    assert "1 of 2 health checks pass" in " ".join(page.text.split())


def test_report__is_one_file_that_loads_and_runs_nothing() -> None:
    text = report_html(view_of(subject(metrics=30, treatments=7)))
    page = Page(text)
    assert page.elements.keys() <= DRAWN | WRITTEN
    assert not {each for each in page.attributes if each.startswith("on") or each in ("src", "href", "style")}
    assert set(re.findall(r"https?://[^\"'<\s]*", text)) == {"http://www.w3.org/2000/svg"}
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'"
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_report__texts_of_other_people__are_text(name: str) -> None:
    of = replace(subject(name=name, hypothesis=name, feature=name), name=name)
    health = StoredHealth(AS_OF, 3, [finding(detail=name, title=name)])
    text = report_html(experiment_view(of, together(of), health, looks_of(of)))
    page = Page(text)
    assert page.elements.keys() <= DRAWN | WRITTEN
    assert not {each for each in page.attributes if each.startswith("on") or each in ("src", "href", "style")}
    assert not {"\u202e", "\x00"} & set(text)
    assert len(text) < 60_000, "long names are cut"


def test_report__of_an_older_payload_and_of_nothing__are_pages() -> None:
    of = subject()
    page = Page(report_html(experiment_view(of, together(of, older(payload_of(of))))))
    assert "+50.00 %" in page.text
    nothing = ComputedTogether(state(Computation.EXPOSURES, None), state(Computation.RESULTS, None))
    assert "Nothing has been computed yet" in Page(report_html(experiment_view(of, nothing))).text
