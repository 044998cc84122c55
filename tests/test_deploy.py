"""The shipped instance configurations load, and hold what automation relies on."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from sqlalchemy import create_engine, make_url, text

from experiment_pipeline.assets.partitions import EXPERIMENTS
from experiment_pipeline.resources.dagster_instance import add_partitions, open_instance

ROOT = Path(__file__).parent.parent


def assert_is_ready(instance: dg.DagsterInstance) -> None:
    concurrency = instance.get_concurrency_config().run_queue_config
    assert concurrency is not None
    assert concurrency.tag_concurrency_limits == [
        {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    ]
    assert instance.run_monitoring_enabled
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled, "the community pop-up is off"
    add_partitions(instance, EXPERIMENTS, ["checkout-1"])
    assert instance.get_dynamic_partitions("experiment") == ["checkout-1"]


def test_shipped_instance__is_ready_and_stays_as_its_owner_left_it(tmp_path: Path) -> None:
    with open_instance(tmp_path) as instance:
        assert_is_ready(instance)
    shipped = (tmp_path / "dagster.yaml").read_text("utf-8")
    (tmp_path / "dagster.yaml").write_text(shipped + "# mine\n", "utf-8")
    with open_instance(tmp_path):
        pass
    assert (tmp_path / "dagster.yaml").read_text("utf-8").endswith("# mine\n")


def test_postgres_instance__on_a_real_postgresql__is_ready(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_url(postgres_url)
    engine = create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE dagster_instance"))
    engine.dispose()
    url = server.set(drivername="postgresql", database="dagster_instance").render_as_string(hide_password=False)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    shutil.copy(ROOT / "deploy" / "dagster-postgres.yaml", tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert_is_ready(instance)


@pytest.mark.slow  # `make check` asks Dagster the same
def test_definitions__as_the_workspace_names_them__are_valid(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "--workspace", str(ROOT / "workspace.yaml")]
    ended = subprocess.run(command, cwd=ROOT, env={"DAGSTER_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, check=False)
    assert ended.returncode == 0


VALUES = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "dagster-values.yaml").read_text("utf-8"))
SHIPPED = yaml.safe_load((ROOT / "deploy" / "dagster-postgres.yaml").read_text("utf-8"))


def test_chart_values__limit_and_retry_runs_as_the_shipped_instance_does() -> None:
    daemon, runs = VALUES["dagsterDaemon"], SHIPPED["concurrency"]["runs"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue == {
        "maxConcurrentRuns": runs["max_concurrent_runs"],
        "dequeueIntervalSeconds": SHIPPED["run_queue"]["dequeue_interval_seconds"],
        "tagConcurrencyLimits": runs["tag_concurrency_limits"],
    }
    monitoring = SHIPPED["run_monitoring"]
    assert daemon["runMonitoring"] == {
        "enabled": monitoring["enabled"],
        "maxRuntimeSeconds": monitoring["max_runtime_seconds"],
        "pollIntervalSeconds": monitoring["poll_interval_seconds"],
    }
    assert daemon["runRetries"] == SHIPPED["run_retries"]
    for name in ("sensors", "schedules"):
        shipped = SHIPPED[name]
        assert daemon[name] == {"useThreads": shipped["use_threads"], "numWorkers": shipped["num_workers"]}
        assert VALUES["retention"][name[:-1]]["purgeAfterDays"] == SHIPPED["retention"][name[:-1]]["purge_after_days"]
    assert VALUES["telemetry"] == SHIPPED["telemetry"]


def test_chart_values__open_dagsters_storage_on_a_real_postgresql(tmp_path: Path, postgres_url: str) -> None:
    server, given = make_url(postgres_url), VALUES["postgresql"]
    engine = create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE dagster_of_the_chart"))
    engine.dispose()
    database = {  # as the chart writes it
        "username": server.username,
        "password": server.password or "",
        "hostname": server.host or "",  # `params` may name a socket
        "port": server.port or 5432,
        "db_name": "dagster_of_the_chart",
        "scheme": given["postgresqlScheme"],
        "params": dict(server.query),
    }
    home = tmp_path / "dagster.yaml"
    home.write_text(yaml.safe_dump({"storage": {"postgres": {"postgres_db": database}}}), "utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        add_partitions(instance, EXPERIMENTS, ["checkout-1"])
        assert instance.get_dynamic_partitions("experiment") == ["checkout-1"]
        assert instance.get_runs() == []


def test_chart__image_and_compose__are_of_the_locked_versions() -> None:
    locked = (ROOT / "requirements" / "image.txt").read_text("utf-8")
    (version,) = re.findall(r"^dagster==(\S+)", locked, re.MULTILINE)
    for path in ("deploy/kubernetes/dagster-values.yaml", "docs/deployment.md"):
        assert f"--version {version} " in (ROOT / path).read_text("utf-8"), path
    both = zip(locked.splitlines(), locked.splitlines()[1:], strict=False)
    assert all("--hash=sha256:" in after for line, after in both if "==" in line and not line.startswith(" "))
