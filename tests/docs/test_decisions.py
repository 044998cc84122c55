"""Decision records: every page is in the index as it is, and every page that is referred to exists."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, texts

FOLDER = ROOT / "docs" / "adr"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
AREAS = {"sources", "lake", "warehouse", "statistics", "refresh", "API", "project"}
HEAD = re.compile(r"# ([0-9]+)\. (.+)\n\n- Status: ((?:.|\n  )+)\n- Date: [0-9]{4}-[0-9]{2}-[0-9]{2}\n\n")
ROW = re.compile(r"^\| \[([0-9]{4})\]\(([^)]+)\) \| (.+?) \| (.+?) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)
INDEX = {number: row for number, *row in ROW.findall((FOLDER / "README.md").read_text("utf-8"))}
REFERENCE = re.compile(r"\badr/([0-9]{4})|\bADRs? ([0-9]+)\b")


def test_index__pages__are_all_there_and_no_other() -> None:
    assert [row[0] for row in INDEX.values()] == [page.name for page in PAGES]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_index__title_area_and_status__are_those_of_the_page(path: Path) -> None:
    head = HEAD.match(path.read_text("utf-8"))
    assert head is not None
    number, title, status = head.groups()
    superseded_by = re.findall(r"[0-9]{4}(?=\])", status.split("; supersedes")[0])
    _, shown_title, area, shown_status, shown_successors = INDEX[f"{int(number):04}"]
    assert path.name.startswith(f"{int(number):04}-")
    assert shown_title == title
    assert area in AREAS
    assert status.startswith(shown_status)
    assert shown_status == ("superseded in part" if superseded_by else "accepted")
    assert shown_successors == ", ".join(superseded_by)


def test_decisions__every_page_referred_to__exists() -> None:
    numbers = {page.name[:4] for page in PAGES}
    unknown = {
        path: sorted({number for match in REFERENCE.findall(text) if (number := max(match).zfill(4)) not in numbers})
        for path, text in texts()
    }
    assert {path: found for path, found in unknown.items() if found} == {}
