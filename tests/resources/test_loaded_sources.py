"""Sources that a code location is loaded with: read once, and the same in every run's process (rule D0)."""

from datetime import UTC, datetime
from pathlib import Path

from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster._core.definitions.metadata.metadata_value import CodeLocationReconstructionMetadataValue
from dagster._core.definitions.repository_definition.repository_definition import RepositoryLoadData

from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.loaded_sources import NO_SOURCES, LoadedSources
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import Settings
from tests.conftest import make_registry

MANIFEST = """
environments: {prod: {}}
sources:
  orders:
    files: /orders.csv
    every: PT15M
    upstream: [analytics/fct_orders]
    as: {event: bought, identifier: user, timestamp: {constant: "2026-01-05T00:00:00Z"}}
"""


def declare(folder: Path, manifest: str) -> Settings:
    """Apply a manifest to the registry of a folder."""
    settings = Settings(data_dir=folder)
    url = settings.database_url if (folder / "registry.sqlite").exists() else make_registry(folder / "registry.sqlite")
    registry = Registry.open(url)
    registry.manifests.apply(parse_manifest(manifest), actor="test", now=datetime.now(UTC))
    registry.close()
    return settings


def test_read__registry_that_does_not_exist_yet__has_no_sources_and_is_not_made(tmp_path: Path) -> None:
    assert LoadedSources.read(Settings(data_dir=tmp_path / "data")) == NO_SOURCES
    assert not (tmp_path / "data").exists()


def test_read__file_that_is_no_database__is_said_and_has_no_sources(tmp_path: Path) -> None:
    (tmp_path / "registry.sqlite").write_text("not a database at all" * 100)
    loaded = LoadedSources.read(Settings(data_dir=tmp_path))
    assert loaded.sources == ()
    assert loaded.unread


def test_of_process__of_a_run__are_the_code_servers_whatever_was_declared_since(tmp_path: Path) -> None:
    settings = declare(tmp_path, MANIFEST)
    loaded = LoadedSources.read(settings)
    assert [source.key for source in loaded.sources] == ["orders"]
    declare(tmp_path, MANIFEST.replace("orders:", "refunds:"))
    state = {name: CodeLocationReconstructionMetadataValue(text) for name, text in loaded.state.items()}
    handed_on = RepositoryLoadData(cacheable_asset_data={}, reconstruction_metadata=state)
    with DefinitionsLoadContext.scoped(DefinitionsLoadContext(DefinitionsLoadType.RECONSTRUCTION, handed_on)):
        assert LoadedSources.of_process(settings) == loaded
    assert [source.key for source in LoadedSources.of_process(settings).sources] == ["orders", "refunds"]


def test_difference__mapping_and_query__are_none_for_each_pull_reads_them(tmp_path: Path) -> None:
    loaded = LoadedSources.read(declare(tmp_path, MANIFEST))
    changed = LoadedSources.read(declare(tmp_path, MANIFEST.replace("bought", "paid")))
    assert loaded.sources != changed.sources
    assert loaded.difference(changed.sources) is None
    assert NO_SOURCES.difference(loaded.sources) is not None
