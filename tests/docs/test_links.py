"""Links between the repository's pages lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, documents

DOCUMENTS = documents()
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """Return what a page can be linked at: its headings as GitHub names them, and the anchors written out."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    named = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return named | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("path", DOCUMENTS)
def test_links__of_a_page__lead_to_files_and_headings_that_exist(path: str) -> None:
    broken = []
    for link in LINK.findall(DOCUMENTS[path]):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / path).parent / name).resolve() if name else ROOT / path
        page = DOCUMENTS.get(target.relative_to(ROOT).as_posix()) if target.is_relative_to(ROOT) else None
        if not Path(target).exists() or (anchor and (page is None or anchor not in anchors(page))):
            broken.append(link)
    assert broken == []
