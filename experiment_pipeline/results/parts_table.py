"""The table of breakdowns: one row per step, slice or value of a dimension, and treatment (rules M14, M15, M18)."""

from collections.abc import Iterator, Mapping

from experiment_pipeline.results.comparison_payload import effect_columns
from experiment_pipeline.results.metric_payload import MetricPayload, PartPayload, StepPayload
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.results.results_table import (
    COLUMNS,
    Cell,
    ColumnOrigin,
    ColumnType,
    LookLabels,
    ResultsColumn,
    arm_cells,
    metric_cells,
)

OF_RESULTS = {column.name: column for column in COLUMNS}
OF_LOOK = (
    "experiment",
    "environment",
    "phase",
    "look",
    "started_at",
    "as_of",
    "data_version",
    "is_final",
    "trustworthy",
)
OF_COMPARISON = (
    "treatment", "treatment_n", "treatment_value", "control_n", "control_value",
    "effect", "effect_low", "effect_high", "lift", "lift_low", "lift_high",
    "p_all_looks", "all_looks_low", "all_looks_high", "verdict", "reason",
)  # fmt: skip
PART_COLUMNS: tuple[ResultsColumn, ...] = (
    *(OF_RESULTS[name] for name in (*OF_LOOK, "metric", "type", "unit")),
    ResultsColumn("part", ColumnType.TEXT, "Kind of the part: step, slice or dimension.", ColumnOrigin.DECLARED),
    ResultsColumn("dimension", ColumnType.TEXT, "Name of the dimension; null of another part.", ColumnOrigin.DECLARED),
    ResultsColumn("value", ColumnType.TEXT, "Value of the dimension or slice, or event of the step; null for none."),
    ResultsColumn("step", ColumnType.WHOLE, "Number of the step, from 1; null of another part."),
    ResultsColumn("is_other", ColumnType.TRUTH, "Whether the row is of all values beyond the largest ones."),
    *(OF_RESULTS[name] for name in OF_COMPARISON),
)


def part_rows(labels: LookLabels, payload: ResultsPayload) -> list[dict[str, Cell]]:
    """Return the rows of every step, slice and dimension of a published payload, with every column."""
    common = {column.name: None for column in PART_COLUMNS} | labels.cells(payload)
    return [
        {**common, **metric_cells(labels, metric), **cells} for metric in payload["metrics"] for cells in _rows(metric)
    ]


def _rows(metric: MetricPayload) -> Iterator[Mapping[str, Cell]]:
    for step in metric.get("steps", []):
        kind = {"part": "step", "step": step["step"], "value": step["event"], "is_other": False}
        yield from (kind | cells for cells in _compared(step))
    for part in metric.get("slices", []):
        yield from _of_value(part, {"part": "slice"})
    for dimension, parts in metric.get("breakdown", {}).items():
        for part in parts:
            yield from _of_value(part, {"part": "dimension", "dimension": dimension})


def _of_value(part: PartPayload, kind: Mapping[str, Cell]) -> Iterator[Mapping[str, Cell]]:
    value = {**kind, "value": part["value"], "is_other": part["other"]}
    for cells in _compared(part):
        treatment = str(cells["treatment"])
        anytime = part["anytime"][treatment]
        yield {
            **value,
            **cells,
            "p_all_looks": anytime and anytime["adjusted_p_value"],
            "all_looks_low": anytime and anytime["ci_low"],
            "all_looks_high": anytime and anytime["ci_high"],
            "verdict": part["verdict"][treatment],
        }


def _compared(part: StepPayload | PartPayload) -> Iterator[dict[str, Cell]]:
    for treatment, effect in part["effect"].items():
        arms = arm_cells(part["variants"], treatment)
        yield {**arms, **effect_columns(effect, part["inference"][treatment]), "reason": part["reason"][treatment]}
