"""An installation with everything that a backup holds, made through the command line, and commands on copies of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from experiment_pipeline.cli.main import main
from experiment_pipeline.settings import PREFIX
from tests.assets.conftest import MANIFEST, crowd
from tests.conftest import MakeDatabase


@dataclass(frozen=True)
class Place:
    """A data directory, and the URL of its registry where that is in no file of it."""

    data_dir: Path
    url: str | None = None
    environment: dict[str, str | None] = field(default_factory=dict)

    def run(self, *arguments: object) -> Result:
        environment = self.environment | {f"{PREFIX}REGISTRY_URL": self.url, f"{PREFIX}LANDING_OBJECT_AGE": "0"}
        command = ["--data-dir", str(self.data_dir), *map(str, arguments)]
        return CliRunner(env=environment).invoke(main, command)

    def done(self, *arguments: object) -> str:
        """Return what a command that must succeed prints."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def land(self, name: str, control: int, treatment: int) -> None:
        folder = self.data_dir / "landing/events/env_key=prod/2026/03/01/00"
        folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        lines = [*map(json.dumps, crowd(control, treatment)), "{"]
        (folder / f"{stamp}-{name}.jsonl").write_text("\n".join(lines) + "\n")

    def shown(self) -> list[str]:
        """Return all that people see of it."""
        commands = (
            ("results", "checkout", "--json"),
            ("results", "checkout"),
            ("lake", "status"),
            ("lake", "rejected", "--json"),
            ("experiments", "list"),
            ("audit", "list", "--json"),
            ("keys", "list", "-e", "prod"),
        )
        return [self.done(*command) for command in commands]


MakePlace = Callable[[str, str], Place]


@pytest.fixture
def make_place(tmp_path: Path, make_database: MakeDatabase) -> MakePlace:
    """A folder that does not exist yet and, for `postgresql`, an empty database."""
    return lambda name, kind: Place(tmp_path / name, make_database(kind) if kind == "postgresql" else None)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, make_place: MakePlace, tmp_path: Path) -> Place:
    """Two batches, a refresh, an object that waits, and an open segment of a collector that died."""
    made = make_place("data", request.param)
    manifest = tmp_path / "experiments.yaml"
    manifest.write_text(MANIFEST)
    made.done("apply", manifest)
    made.done("keys", "create", "-e", "prod", "--scope", "read", "--name", "reader")
    made.land("first", 60, 60)
    made.done("lake", "ingest")
    made.land("second", 80, 70)
    made.done("lake", "ingest")
    made.done("refresh", "checkout")
    made.land("waits", 100, 100)
    segment = made.data_dir / "landing/.open/env_key=prod/20260301T000000.000001Z-0123456789abcdef.jsonl"
    segment.parent.mkdir(parents=True)
    segment.write_text(json.dumps(crowd(1, 0)[0] | {"identifier": "in the segment"}) + "\n")
    return made
