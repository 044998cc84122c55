"""docs/tables.md against the definitions of the tables: each has a section, each column a row."""

from tests.docs.tables_page import PAGE, SECTION, sections


def test_tables_page__columns__are_those_of_the_definitions() -> None:
    (written,) = SECTION.findall(PAGE.read_text("utf-8"))
    assert written == sections(), "python -m tests.docs.tables_page writes them"
