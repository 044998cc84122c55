"""A registry, a lake and a landing zone, and what may happen to one of them without the others."""

import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiment_pipeline.lake.ingestion import IngestionReport, ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.repair import Repair, RepairReport
from experiment_pipeline.registry.registry import Registry
from tests.lake.ledger import NOW, PROD, land, record, stored


class Installation:
    """An installation whose batches have one object each, with an event of its own and one of the batch before."""

    def __init__(self, root: Path, database_url: str) -> None:
        self.root, self.landing = root, root / "landing"
        self.lake = Lake(root / "lake", threads=1)
        self.registry = Registry.open(database_url)
        if not self.registry.environments.exists(PROD):
            self.registry.environments.create(PROD, PROD, actor="test", now=NOW)

    def land(self, number: int) -> Path:
        """Land an object: one new event, one of the object before, and a line that is no JSON."""
        return land(
            self.landing, [record(event_id=f"{number}"), record(event_id=f"{number - 1}"), "{"], f"{number}.jsonl"
        )

    def object(self, number: int) -> Path:
        """The object of a batch."""
        (found,) = self.landing.rglob(f"{number}.jsonl")
        return found

    def ingest(self) -> IngestionReport:
        return ingest(self.lake, self.registry.batches, self.landing, NOW)

    def fill(self, batches: int, first: int = 1) -> None:
        """Ingest so many batches."""
        for number in range(first, first + batches):
            self.land(number)
            assert self.ingest().batch == number

    def save_lake(self) -> None:
        shutil.copytree(self.lake.folder, self.root / "older")

    def restore_lake(self) -> None:
        shutil.rmtree(self.lake.folder)
        shutil.copytree(self.root / "older", self.lake.folder)

    def lose_lake(self, table: str = "") -> None:
        shutil.rmtree(self.lake.folder / table)

    def repair(self, *accepted: int, ignores_times: bool = False) -> RepairReport:
        return replace(self.repairing(accepted), ignores_times=ignores_times).run()

    def plan_repair(self, *accepted: int) -> RepairReport:
        return self.repairing(accepted).plan()

    def repairing(self, accepted: Collection[int] = ()) -> Repair:
        return Repair(
            self.lake,
            self.registry.batches,
            self.registry.repairs,
            self.landing,
            now=NOW,
            actor="test",
            accepted=accepted,
        )

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """All that the lake holds, of both tables."""
        return {table: stored(self.lake, table) for table in ("events", "rejected")}
