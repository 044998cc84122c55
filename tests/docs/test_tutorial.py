"""docs/tutorial.md is run as it is written, from an empty folder to the final results."""

import re
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, texts
from tests.docs.scripted_page import blocks, is_shown, readers_environment, reading
from tests.e2e.conftest import free_port

PAGE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
PORT = "8000"  # of the page; the test takes one that is free
HINTS = re.compile(r"^\| (?!---|if you see)(.+?) \|", re.MULTILINE)


@pytest.mark.slow
def test_tutorial__every_block_in_order__does_and_prints_what_the_page_says(tmp_path: Path) -> None:
    repository = tmp_path / "experiment-pipeline"
    repository.mkdir()
    (repository / ".venv").symlink_to(sys.prefix)
    page = PAGE.replace(PORT, str(free_port()))
    with reading(tmp_path, readers_environment()) as reader:
        for block in blocks(page):
            reader.follow(block)
    assert "winning" in reader.printed


def test_tutorial__every_message_of_its_hints__is_one_of_the_programs() -> None:
    sources = "\n".join(text for path, text in texts() if path.endswith((".py", ".sql")) and "tests/" not in path)
    words = sources.replace("_", " ")
    foreign = {
        "No such file or directory",
        "experiment-pipeline: command not found",
        "address already in use",
        "Failed to flush",
        '"status": 401',
    }
    quoted = {each for hint in HINTS.findall(PAGE) for each in re.findall("`([^`]+)`", hint)} - foreign
    assert {"0 identities exposed", "collecting data"} <= quoted
    assert [message for message in quoted if message.removeprefix("0 ") not in words] == []


def test_shown__text_that_was_not_printed__is_told() -> None:
    printed = "from 2026-01-01 10:00 to 2026-01-02 10:00\none   \ntwo\nthree\n"
    assert is_shown("from 2025-12-31 00:00 to 2026-01-01 00:00\none\n...\nthree\n", printed)
    assert not is_shown("from 2025-12-31 00:00\none\n...\nthree\n", printed)
    assert not is_shown("from 2025-12-31 00:00 to 2026-01-01 00:00\none\nthree\n", printed)
