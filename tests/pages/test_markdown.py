"""Markdown of an experiment: whole for a report, within its limit for Dagster, and safe with every text."""

import base64
import re
from dataclasses import replace

import pytest

from experiment_pipeline.domain.refresh import StoredHealth
from experiment_pipeline.pages.markdown import Extent, escaped, experiment_markdown, exposures_markdown
from experiment_pipeline.pages.split import split_lines
from experiment_pipeline.pages.view import experiment_view
from tests.pages.published import AS_OF, HOSTILE, finding, looks_of, subject, together, view_of
from tests.pages.test_svg import root_of

PICTURE = re.compile(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)")


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def cells(line: str) -> list[str]:
    """Return the cells of a row, as renderers split it."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown__of_an_experiment__has_decision_split_table_pictures_and_findings() -> None:
    text = plain(experiment_markdown(view_of(subject())))
    assert text.startswith("# Checkout\n\n`checkout` in `prod`, running\n\n*A larger button sells more.*")
    assert "**ship b**: It is shown to be better on bought, and no guardrail is harmed." in text
    assert "Rule 7 primary winning. A treatment that wins on the primary metric" in text
    rows = [cells(line) for line in text.splitlines() if line.startswith("| **bought**")]
    assert rows == [["**bought**, higher is better", "control", "800 of 2,000", "40.000 %", *[""] * 6]]
    (treatment, _) = (cells(line) for line in text.splitlines() if line.startswith("|  | b | 1,200 of"))
    assert treatment[2:6] == ["1,200 of 2,000", "60.000 %", "+20.000 points", "+50.00 %"]
    assert treatment[-2:] == ["< 0.0001", "**winning**"]
    assert "- **warning**: Events came late. 3 of 100 events came late." in text
    assert "look 5; since 2026-03-10 00:00 UTC: 800 new identities, 7 late events" in text
    pictures = [base64.b64decode(each).decode() for each in PICTURE.findall(text)]
    assert len(pictures) == 3
    assert all(root_of(picture).tag.endswith("svg") for picture in pictures)
    assert not PICTURE.search(experiment_markdown(view_of(subject()), Extent(pictures=False)))


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_markdown__texts_of_other_people__are_shown_and_nothing_else(name: str) -> None:
    of = replace(subject(name=name, hypothesis=name, feature=name), name=name)
    health = StoredHealth(AS_OF, 3, [finding(detail=name, title=name)])
    text = PICTURE.sub("", plain(experiment_markdown(experiment_view(of, together(of), health, looks_of(of)))))
    unescaped = re.sub(r"\\[!-/:-@\[-`{-~]", "", text)
    beside = re.sub(r"\| [<>] [\d.]+( %)? (?=\|)", "| ", unescaped)  # numbers that are nearly 0 or 1
    assert not re.search(r"[<>\[\]]", beside), "neither HTML nor links"
    assert unescaped.count("`") == 4, "the key and the environment"
    assert "http://" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(cells(row)) for row in rows} <= {5, 9, 10}, "no name ends a cell"
    assert not {"\u202e", "\x00"} & set(text)
    assert max(map(len, text.splitlines())) < 4_000


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a|b *c*", r"a\|b \*c\*"),
        ("<b>", r"\<b\>"),
        ("https://x", "https:\u2060//x"),
        ("www.x", "www\u2060.x"),
        ("a@b", "a@\u2060b"),
        ("שלום", "\u2068שלום\u2069"),
        ("- x", r"\- x"),
        ("1. x", r"1\. x"),
        ("  12) x", r"12\) x"),
        ("=", r"\="),
        ("2.5 - 1", r"2\.5 - 1"),
        ("x - y: 1.", "x - y: 1."),
    ],
)
def test_escaped__text__is_what_a_renderer_shows(text: str, markdown: str) -> None:
    assert escaped(text) == markdown


def test_markdown__larger_than_its_extent__leaves_parts_out_and_names_them() -> None:
    view = view_of(subject(metrics=30, treatments=7))
    short = experiment_markdown(view, Extent(characters=20_000, rows=30, notes=10))
    assert len(short) <= 20_200
    assert "and 210 more rows" in short
    assert "Left out here, as it is too long: " in short
    assert "Left out" not in experiment_markdown(view)


def test_exposures__as_markdown__have_the_shares_beside_the_configured_ones() -> None:
    results = view_of(subject()).results
    assert results is not None
    assert results.exposures is not None
    text = exposures_markdown(results.exposures, split_lines(results.split))
    assert "| b | 2,000 | 50.00 % | 50 % |" in text
    assert "split sound:" in text
    assert len(PICTURE.findall(text)) == 1
