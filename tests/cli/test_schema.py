"""`experiment-pipeline schema`."""

import json

from experiment_pipeline.schemas.manifest_schema import manifest_schema
from tests.cli.conftest import Run


def test_schema_manifest__without_an_installation__prints_the_json_schema(run: Run) -> None:
    assert json.loads(run("schema", "manifest").stdout) == manifest_schema()


def test_schema_manifest__help__says_how_an_editor_finds_it(run: Run) -> None:
    assert "# yaml-language-server: $schema=./manifest.schema.json" in run("schema", "manifest", "--help").stdout
