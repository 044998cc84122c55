"""docs/reliability.md: every row of its table of faults names the tests that hold it."""

import re

import pytest

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
SECTION = PAGE.partition("## Faults")[2].partition("\n## ")[0]
ROWS = [line.strip("|").split("|") for line in SECTION.splitlines() if line.startswith("| ") and "---" not in line][1:]
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


def test_faults__there_are_rows__of_four_columns() -> None:
    assert len(ROWS) >= 15
    assert {len(row) for row in ROWS} == {4}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_faults__each_row__names_tests_that_exist(row: list[str]) -> None:
    named = TEST.findall(row[3])
    assert named != []
    for path, name in named:
        assert (ROOT / path).is_file(), path
        assert not name or f"def {name}(" in (ROOT / path).read_text("utf-8"), name
