"""The site of documents: its pages, their places, their links, and that none loads anything from outside."""

from pathlib import Path

import pytest

from tests.docs.site import OUTSIDE_DOCS, navigation, outside_addresses, page_of, placed, prepare, site_links


def test_navigation__of_the_site__has_every_page_but_the_single_decisions(tmp_path: Path) -> None:
    prepare(tmp_path)
    pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md")}
    assert navigation() == {page for page in pages if not page.startswith("adr/0")}


def test_placed__of_nested_sections__yields_each_page() -> None:
    assert list(placed([{"Home": "index.md"}, {"Reference": [{"Rules": "rules.md"}]}])) == ["index.md", "rules.md"]


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("docs/adr/README.md", "adr/index.md"),
        ("docs/rules.md", "rules.md"),
        ("CHANGELOG.md", OUTSIDE_DOCS["CHANGELOG.md"]),
        ("experiment_pipeline/settings.py", None),
    ],
)
def test_page_of__a_file__is_its_page_or_none(path: str, page: str | None) -> None:
    assert page_of(path) == page


def test_site_links__lead_to_pages_of_the_site__and_links_to_code_become_names() -> None:
    text = "[a](../rules.md#e4) [`b.py`](../../tests/b.py) [c](../../README.md) [d](README.md) [e](https://x.org/)"
    assert site_links(text, "docs/adr/0001-x.md") == (
        "[a](../rules.md#e4) `b.py` [c](../project.md) [d](index.md) [e](https://x.org/)"
    )


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://other.org/x.js"></script>',
        '<link rel="stylesheet" href="//other.org/x.css">',
        '<img srcset="a.png 1x, https://other.org/b.png 2x">',
        "<style>@import 'https://other.org/x.css';</style>",
        '<p style="background: url(https://other.org/x.png)"></p>',
        '<pre class="mermaid"></pre>',
    ],
)
def test_outside_addresses__of_a_page_that_loads_one__has_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.html").write_text(text, "utf-8")
    assert [path for path, _ in outside_addresses(tmp_path)] == ["index.html"]


def test_outside_addresses__of_links_to_follow_and_files_of_the_site__are_none(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<a href="https://other.org/">x</a><script src="a.js"></script>', "utf-8")
    (tmp_path / "a.css").write_text("p { background: url(x.png) }", "utf-8")
    assert list(outside_addresses(tmp_path)) == []
