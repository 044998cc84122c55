"""Results as CSV: one row per metric and variant."""

import csv
from collections.abc import Iterator
from typing import TextIO

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import ComputationState
from experiment_pipeline.pages.quantities import value_of
from experiment_pipeline.results.metric_payload import MetricPayload
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.results.results_table import comparison_cells
from experiment_pipeline.times import iso_utc

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # openings of what spreadsheets compute
COLUMNS = (
    "experiment",
    "environment",
    "phase",
    "started_at",
    "as_of",
    "data_version",
    "is_final",
    "trustworthy",
    "metric",
    "aggregation",
    "variant",
    "n",
    "value",
    "effect",
    "effect_low",
    "effect_high",
    "lift",
    "lift_low",
    "lift_high",
    "chance_to_win",
    "p_all_looks",
    "verdict",
    "reason",
    "type",
    "unit",
    "adjusted_effect",
    "adjusted_low",
    "adjusted_high",
    "variance_reduction",
    "decided_by",
    "p_one_look",
    "p_one_look_adjusted",
    "chance_to_be_best",
    "information_fraction",
    "identities_needed",
    "days_left",
    "loss_if_ship",
    "loss_if_keep",
    "all_looks_low",
    "all_looks_high",
    "margin",
    "from_margin",
    "from_margin_low",
    "from_margin_high",
    "p_margin",
    "post_stratified_effect",
    "post_stratified_low",
    "post_stratified_high",
)


def write_csv(experiment: Experiment, results: ComputationState[ResultsPayload], file: TextIO) -> None:
    """Write the header, and one row per metric and variant; cells that do not apply or are withheld are empty.

    Numbers have every digit of the payload; shares and lifts are fractions, not per cent.
    """
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    if results.payload is None:
        return
    look = {
        "experiment": experiment.key,
        "environment": experiment.environment_key,
        "phase": experiment.phase,
        "started_at": None if experiment.started_at is None else iso_utc(experiment.started_at),
        "as_of": None if results.as_of is None else iso_utc(results.as_of),
        "data_version": results.data_version,
        "is_final": results.is_final,
        "trustworthy": results.payload["trustworthy"],
    }
    attached = {each.metric.id: each.metric for each in experiment.metrics}
    for metric in results.payload["metrics"]:
        of = attached[metric["metric_id"]]
        for row in _rows(metric):
            kind = {"aggregation": of.aggregation, "type": metric.get("type"), "unit": metric.get("unit")}
            writer.writerow({name: _cell(value) for name, value in {**look, "metric": of.name, **kind, **row}.items()})


def _cell(value: object) -> object:
    """Return a value as a spreadsheet shows it: a text that would be a formula there begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _rows(metric: MetricPayload) -> Iterator[dict[str, object]]:
    for variant, aggregate in metric["variants"].items():
        row: dict[str, object] = {"variant": variant, "n": aggregate["n"], "value": value_of(aggregate)}
        row["chance_to_be_best"] = (metric.get("chance_to_be_best") or {}).get(variant)
        yield row | (comparison_cells(metric, variant) if variant in metric["verdict"] else {})
