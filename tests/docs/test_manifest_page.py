"""docs/manifest.md says what the schema says."""

from tests.docs.manifest_page import PAGE, generated, tables


def test_manifest_page__its_tables__are_those_of_the_schema() -> None:
    assert generated(PAGE.read_text("utf-8")) == tables()
