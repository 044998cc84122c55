"""Scaffolding of the experiments component: `dg scaffold defs experiment_pipeline.ExperimentsComponent NAME` (P5)."""

import csv
from collections.abc import Iterable
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

from dagster.components import Scaffolder, ScaffoldRequest, scaffold_component
from pydantic import BaseModel, Field

EXAMPLE = ("defs.yaml", "experiments.yaml")
FIRST_OFFER, APART, LEARNED_AFTER = datetime(2026, 1, 5), timedelta(minutes=5), timedelta(days=1)  # noqa: DTZ001 - of files
DATA_DIRECTORY = "/srv/experiments"  # to be edited
SKELETON = {
    "warehouse": "duckdb",
    "exposures": [
        {
            "name": "flag_exposures",
            "asset": "analytics/fct_exposures",
            "table": "analytics.fct_exposures",
            "as": {
                "feature": {"column": "experiment"},
                "variant": "variation",
                "identifier": "user_id",
                "timestamp": "exposed_at",
            },
        }
    ],
    "events": [
        {
            "name": "orders",
            "asset": "analytics/fct_orders",
            "table": "analytics.fct_orders",
            "as": {"event": "purchased", "identifier": "user_id", "timestamp": "ordered_at", "value": "amount"},
        }
    ],
    "declarations": "experiments.yaml",
}
DECLARATIONS = """\
# Metrics and experiments, as `experiment-pipeline apply` reads them. `control` takes what the other variants leave.

metrics:
  purchase:
    definition: {version: 1, event: purchased}
    aggregation: occurrence

experiments:
  checkout_button:
    hypothesis: A larger button sells more.
    feature: checkout_button
    variants: [{key: larger, percentage_allocation: 50}]
    metrics: [{metric: purchase, expected_direction: increase}]
    status: created
"""


class EventLakeScaffolder(Scaffolder):
    """Writes a component over a data directory, to be edited."""

    def scaffold(self, request: ScaffoldRequest) -> None:
        """Write the component's file."""
        scaffold_component(request, {"state": DATA_DIRECTORY})


class ExperimentsParams(BaseModel):
    """The choices of a scaffold."""

    example: bool = Field(default=False, description="Write two small tables and an experiment that can be computed.")


class ExperimentsScaffolder(Scaffolder[ExperimentsParams]):
    """Writes a component over a project's own tables, to be edited, or an example that runs."""

    @classmethod
    def get_scaffold_params(cls) -> type[ExperimentsParams]:
        """Return the model of the choices."""
        return ExperimentsParams

    def scaffold(self, request: ScaffoldRequest[ExperimentsParams]) -> None:
        """Write the component's files; a file that is there already stays as it is, but for the component's own."""
        folder = request.target_path.parent if request.append else request.target_path
        if request.params.example and request.scaffold_format == "yaml" and not request.append:
            _write_example(folder)
            return
        scaffold_component(request, SKELETON)
        if not (folder / "experiments.yaml").exists():
            (folder / "experiments.yaml").write_text(DECLARATIONS, "utf-8")


def _write_example(folder: Path) -> None:
    """Write the field study of the demo as two tables, one of who was offered what, one of who came."""
    for name in EXAMPLE:
        text = files("experiment_pipeline.automation.component").joinpath("example", name).read_text("utf-8")
        (folder / name).write_text(text, "utf-8")
    (folder / ".gitignore").write_text(".state/\n", "utf-8")
    source = files("experiment_pipeline.demo").joinpath("thornton_hiv.csv").read_text("utf-8")
    people = sorted(csv.DictReader(source.splitlines()), key=lambda row: int(row["person"]))
    offered = [(row, FIRST_OFFER + APART * number) for number, row in enumerate(people)]
    _write_csv(
        folder / "offers.csv",
        ("person", "incentive", "offered_at"),
        ((f"person-{row['person']}", row["incentive"], at) for row, at in offered),
    )
    _write_csv(
        folder / "results_learned.csv",
        ("person", "learned_at"),
        ((f"person-{row['person']}", at + LEARNED_AFTER) for row, at in offered if row["learned_result"] == "1"),
    )


def _write_csv(file: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
