"""The warehouses of environments: declared in a manifest, or by the installation (rule D0)."""

from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

import pytest
from pydantic import SecretStr

from experiment_pipeline.definitions import build
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import Settings, read_settings
from tests.assets.conftest import Installation, installation

__all__ = ["installation"]
DEFAULT = "clickhouse://reader:hunter2@host/events"
MANIFEST = """
environments:
  prod: {warehouse: shop}
  test: {warehouse: duckdb}
  other: {}
connections:
  shop: {url_env: SHOP_DATABASE_URL}
"""


def apply(registry: Registry, text: str) -> list[Any]:
    return registry.manifests.apply(parse_manifest(text), actor="test", now=datetime.now(UTC))


def test_url__of_each_environment__is_its_own_or_the_installations__d0(registry: Registry) -> None:
    apply(registry, MANIFEST)
    environ = {"SHOP_DATABASE_URL": "postgresql://host/shop"}
    urls = {key: registry.warehouses.url(key, DEFAULT, environ) for key in ("prod", "test", "other")}
    assert {key: url and (url.text, url.key) for key, url in urls.items()} == {
        "prod": ("postgresql://host/shop", "shop"),
        "test": None,
        "other": (DEFAULT, "EXPERIMENT_PIPELINE_WAREHOUSE"),
    }
    assert registry.warehouses.in_place(DEFAULT) == {"prod", "other", "production"}
    assert registry.warehouses.in_place("duckdb") == {"prod"}


def test_url__whose_variable_is_not_set__says_which__d3(registry: Registry) -> None:
    apply(registry, MANIFEST)
    with pytest.raises(ConfigurationError, match="SHOP_DATABASE_URL is not set"):
        registry.warehouses.url("prod", "duckdb", {})


def test_manifest__that_leaves_the_warehouse_out__keeps_it__d0(registry: Registry) -> None:
    apply(registry, MANIFEST)
    assert apply(registry, "environments: {prod: {name: Production}}")[0].fields == {"name": ("prod", "Production")}
    assert registry.environments.get("prod").warehouse == "shop"
    (changed,) = apply(registry, "environments: {prod: {warehouse: duckdb}}")
    assert changed.fields == {"warehouse": ("shop", "duckdb")}
    assert registry.warehouses.in_place("duckdb") == frozenset()


def test_manifest__with_a_warehouse_that_is_no_connection__names_the_field__d0(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match="one of connections") as raised:
        apply(registry, "environments: {prod: {warehouse: shpo}}\nconnections: {shop: {url_env: SHOP_DATABASE_URL}}")
    assert list(raised.value.errors) == ["environments.prod.warehouse"]
    assert "Did you mean 'shop'?" in str(raised.value)


def test_setting__that_is_neither_duckdb_nor_a_url__is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERIMENT_PIPELINE_WAREHOUSE", "hunter2")
    with pytest.raises(ConfigurationError, match="must be duckdb, or the URL of a warehouse") as raised:
        read_settings()
    assert "hunter2" not in str(raised.value)


@pytest.mark.skipif(find_spec("ibis") is not None, reason="the extra is installed")
def test_refresh__in_a_warehouse_without_the_extra__says_what_to_install(installation: Installation) -> None:
    fields: dict[str, Any] = {"data_dir": installation.settings.data_dir, "warehouse": SecretStr(DEFAULT)}
    installation.definitions = build(Settings(**fields))
    job = installation.definitions.resolve_job_def("refresh_experiment")
    done = job.execute_in_process(
        instance=installation.instance, partition_key=installation.partition(), raise_on_error=False
    )
    assert not done.success
    (failed,) = done.get_step_failure_events()
    error = failed.step_failure_data.error
    assert error is not None
    assert error.cause is not None
    assert "pip install 'experiment-pipeline[warehouse]'" in error.cause.message
    assert "hunter2" not in str(error)
