"""The results table: one row per experiment, metric, treatment and look. Its columns are defined here alone.

Every table of results outside of this package has them: the table that the Dagster component writes, and what its asset
shows as column schema. `comparison_cells` are the columns of a comparison, which `results --csv` has, too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from experiment_pipeline.domain.experiments import CONTROL, Experiment
from experiment_pipeline.domain.refresh import ComputationState
from experiment_pipeline.results.achieved_power import value_of
from experiment_pipeline.results.comparison_payload import VariantPayload, effect_columns
from experiment_pipeline.results.metric_payload import MetricPayload
from experiment_pipeline.results.payload import ResultsPayload

Cell = object  # a text, a number, a truth, a time (UTC), or None where it is withheld or does not apply


class ColumnType(StrEnum):
    """The SQL type of a column, by a name that DuckDB and PostgreSQL both know."""

    TEXT = "VARCHAR"
    WHOLE = "BIGINT"
    NUMBER = "DOUBLE PRECISION"
    TRUTH = "BOOLEAN"
    TIME = "TIMESTAMP WITH TIME ZONE"


class ColumnOrigin(StrEnum):
    """The data that a column is made of."""

    DECLARED = "declared"  # what somebody wrote about the experiment or the metric
    EXPOSURES = "exposures"  # who saw which variant, and when
    EVENTS = "events"  # exposures and the metric's events


@dataclass(frozen=True, slots=True)
class ResultsColumn:
    """One column of the results table."""

    name: str
    type: ColumnType
    description: str
    origin: ColumnOrigin = ColumnOrigin.EVENTS


def _declared(name: str, kind: ColumnType, description: str) -> ResultsColumn:
    return ResultsColumn(name, kind, description, ColumnOrigin.DECLARED)


def _exposed(name: str, kind: ColumnType, description: str) -> ResultsColumn:
    return ResultsColumn(name, kind, description, ColumnOrigin.EXPOSURES)


def _number(name: str, description: str) -> ResultsColumn:
    return ResultsColumn(name, ColumnType.NUMBER, description)


def _text(name: str, description: str) -> ResultsColumn:
    return ResultsColumn(name, ColumnType.TEXT, description)


COLUMNS: tuple[ResultsColumn, ...] = (
    _declared("experiment", ColumnType.TEXT, "Key of the experiment."),
    _declared("environment", ColumnType.TEXT, "Key of its environment."),
    _declared("phase", ColumnType.WHOLE, "Phase of the experiment; a restart begins the next (rule X9)."),
    _declared("look", ColumnType.WHOLE, "Number of the look among those of the phase, from 1 (rule R9)."),
    _declared("started_at", ColumnType.TIME, "Start of the phase, UTC."),
    _declared("as_of", ColumnType.TIME, "Moment up to which events count, UTC (rule R5)."),
    _exposed("data_version", ColumnType.WHOLE, "Newest batch of the lake that was read (rule E6)."),
    _declared("is_final", ColumnType.TRUTH, "Whether no later look will come (rule R6)."),
    _exposed("trustworthy", ColumnType.TRUTH, "False on a sample ratio mismatch, null where it is not known (S1-S3)."),
    _declared("metric", ColumnType.TEXT, "Name of the metric."),
    _declared("type", ColumnType.TEXT, "Statistic: mean, ratio, quantile, retention or funnel."),
    _declared("aggregation", ColumnType.TEXT, "Aggregation of a metric of version 1; else null."),
    _declared("unit", ColumnType.TEXT, "Unit of the metric's values."),
    _declared("treatment", ColumnType.TEXT, "Key of the variant that is compared with control."),
    _declared("decision", ColumnType.TEXT, "Action for the treatment, the same in each of its rows."),
    _exposed("treatment_n", ColumnType.WHOLE, "Identities of the treatment that count for the metric."),
    _number("treatment_value", "Mean, ratio or quantile of the treatment."),
    _exposed("control_n", ColumnType.WHOLE, "Identities of control that count for the metric."),
    _number("control_value", "Mean, ratio or quantile of control."),
    _number("effect", "Treatment less control, in the metric's unit."),
    _number("effect_low", "Lower end of its interval, for those who look once."),
    _number("effect_high", "Upper end of its interval, for those who look once."),
    _number("lift", "Effect as a share of control: 0.1 is 10 %."),
    _number("lift_low", "Lower end of its interval."),
    _number("lift_high", "Upper end of its interval."),
    _number("chance_to_win", "Probability that the treatment is better in the metric's direction."),
    _number("chance_to_be_best", "Probability that it is the best of all variants."),
    _number("loss_if_ship", "Expected loss per identity of shipping the treatment."),
    _number("loss_if_keep", "Expected loss per identity of keeping control."),
    _text("verdict", "Verdict that holds at every look."),
    _text("decided_by", "Reading that the verdict is about: plain or adjusted for the pre-period (rule M11)."),
    _text("reason", "Reason why a number is withheld; null where none is."),
    _number("p_all_looks", "p-value that holds at every look, adjusted for its family."),
    _number("all_looks_low", "Lower end of the interval that holds at every look."),
    _number("all_looks_high", "Upper end of the interval that holds at every look."),
    _number("p_one_look", "p-value for those who look once."),
    _number("p_one_look_adjusted", "The same, adjusted for its family."),
    _number("adjusted_effect", "Effect adjusted for what identities did before."),
    _number("adjusted_low", "Lower end of its interval."),
    _number("adjusted_high", "Upper end of its interval."),
    _number("variance_reduction", "Share of the variance that the adjustment removes."),
    _number("margin", "Margin of a guardrail, as a share of control."),
    _number("from_margin", "Distance of the treatment from the margin; 0 is exactly at it."),
    _number("from_margin_low", "Lower end of its interval."),
    _number("from_margin_high", "Upper end of its interval."),
    _number("p_margin", "p-value of the test against the margin."),
    _number("post_stratified_effect", "Effect made of those within the values of a dimension."),
    _number("post_stratified_low", "Lower end of its interval."),
    _number("post_stratified_high", "Upper end of its interval."),
    _number("information_fraction", "Share of the design's information that there is; of the primary metric."),
    _number("identities_needed", "Identities that the design wants."),
    _number("days_left", "Days until then at the present traffic."),
)

ROW_KEY = ("experiment", "environment", "phase", "look", "metric", "treatment")
"""The columns that no two rows have in common."""

LOOK_KEY = ("experiment", "environment", "phase", "look")
"""The columns of one look, whose rows are replaced together."""


@dataclass(frozen=True, slots=True)
class LookLabels:
    """A published look: whose it is, and of when; the first columns of its rows.

    Attributes:
        started_at: of the phase, UTC, as is `as_of`.
        metrics: name and aggregation of each attached metric, by its id.
    """

    experiment: str
    environment: str
    phase: int
    started_at: datetime | None
    as_of: datetime | None
    data_version: int | None
    is_final: bool
    metrics: Mapping[int, tuple[str, str | None]]

    def cells(self, payload: ResultsPayload) -> dict[str, Cell]:
        """Return the columns that all rows of the look have in common."""
        return {
            "experiment": self.experiment,
            "environment": self.environment,
            "phase": self.phase,
            "look": payload["look"]["number"] if "look" in payload else None,
            "started_at": self.started_at,
            "as_of": self.as_of,
            "data_version": self.data_version,
            "is_final": self.is_final,
            "trustworthy": payload["trustworthy"],
        }


def result_rows(experiment: Experiment, results: ComputationState[ResultsPayload]) -> list[dict[str, Cell]]:
    """Return the rows of a published look, with every column; none before anything was published.

    Args:
        experiment: in the phase of the results.
        results: as they are published.
    """
    if results.payload is None:
        return []
    labels = LookLabels(
        experiment=experiment.key,
        environment=experiment.environment_key,
        phase=experiment.phase,
        started_at=experiment.started_at,
        as_of=results.as_of,
        data_version=results.data_version,
        is_final=results.is_final,
        metrics={each.metric.id: (each.metric.name, each.metric.aggregation) for each in experiment.metrics},
    )
    return look_rows(labels, results.payload)


def look_rows(labels: LookLabels, payload: ResultsPayload) -> list[dict[str, Cell]]:
    """Return the rows of a published payload, with every column."""
    decided = payload["decision"]["by_treatment"] if "decision" in payload else {}
    common = {column.name: None for column in COLUMNS} | labels.cells(payload)
    return [
        {**common, **metric_cells(labels, metric), **cells}
        | {
            "aggregation": labels.metrics[metric["metric_id"]][1],
            "decision": decided[treatment]["action"] if treatment in decided else None,
        }
        for metric in payload["metrics"]
        for treatment, cells in _rows(metric)
    ]


def metric_cells(labels: LookLabels, metric: MetricPayload) -> dict[str, Cell]:
    """Return the columns that say which metric a row is of."""
    return {"metric": labels.metrics[metric["metric_id"]][0], "type": metric.get("type"), "unit": metric.get("unit")}


def _rows(metric: MetricPayload) -> Iterator[tuple[str, dict[str, Cell]]]:
    for treatment in metric["verdict"]:
        cells = arm_cells(metric["variants"], treatment)
        cells["chance_to_be_best"] = (metric.get("chance_to_be_best") or {}).get(treatment)
        yield treatment, cells | comparison_cells(metric, treatment)


def arm_cells(variants: Mapping[str, VariantPayload], treatment: str) -> dict[str, Cell]:
    """Return the columns of a treatment's arm and of control's, by name."""
    cells: dict[str, Cell] = {"treatment": treatment}
    for side, variant in (("treatment", treatment), ("control", CONTROL)):
        aggregate = variants.get(variant)
        if aggregate is not None:
            cells |= {f"{side}_n": aggregate["n"], f"{side}_value": value_of(aggregate)}
    return cells


def comparison_cells(metric: MetricPayload, treatment: str) -> dict[str, Cell]:
    """Return the columns of one treatment compared with control, by name; those that do not apply may be missing."""
    effect = metric["effect"][treatment]
    anytime = metric.get("anytime", {}).get(treatment)
    frequentist = metric.get("frequentist", {}).get(treatment)
    risk = metric.get("risk", {}).get(treatment)
    return {
        **_adjusted(metric, treatment),
        **_progress(metric, treatment),
        **_margin(metric, treatment),
        **_post_stratified(metric, treatment),
        **effect_columns(effect, metric["inference"][treatment]),
        "chance_to_win": effect and effect["chance_to_win"],
        "p_all_looks": anytime and anytime["adjusted_p_value"],
        "all_looks_low": anytime and anytime["ci_low"],
        "all_looks_high": anytime and anytime["ci_high"],
        "loss_if_ship": risk and risk["if_ship"],
        "loss_if_keep": risk and risk["if_keep"],
        "p_one_look": frequentist and frequentist["p_value"],
        "p_one_look_adjusted": frequentist and frequentist["adjusted_p_value"],
        "verdict": metric["verdict"][treatment],
        "reason": metric["reason"][treatment],
    }


def _adjusted(metric: MetricPayload, treatment: str) -> dict[str, Cell]:
    adjusted = metric.get("adjusted", {}).get(treatment)
    if adjusted is None:
        return {}
    effect = adjusted["effect"]
    return {
        "adjusted_effect": effect and effect["value"],
        "adjusted_low": effect and effect["ci_low"],
        "adjusted_high": effect and effect["ci_high"],
        "variance_reduction": adjusted["variance_reduction"],
        "decided_by": metric.get("decided_by", {}).get(treatment),
    }


def _margin(metric: MetricPayload, treatment: str) -> dict[str, Cell]:
    """Return how far a guardrail's treatment is from the margin: 0 is exactly at it."""
    found = metric.get("margin", {}).get(treatment)
    if found is None:
        return {}
    return {
        "margin": found["margin"],
        "from_margin": found["value"],
        "from_margin_low": found["ci_low"],
        "from_margin_high": found["ci_high"],
        "p_margin": found["adjusted_p_value"],
    }


def _post_stratified(metric: MetricPayload, treatment: str) -> dict[str, Cell]:
    found = metric.get("post_stratified", {}).get(treatment)
    if found is None:
        return {}
    return {
        "post_stratified_effect": found["value"],
        "post_stratified_low": found["ci_low"],
        "post_stratified_high": found["ci_high"],
    }


def _progress(metric: MetricPayload, treatment: str) -> dict[str, Cell]:
    progress = metric.get("progress", {}).get(treatment)
    if progress is None:
        return {}
    return {
        "information_fraction": progress["information_fraction"],
        "identities_needed": progress["identities_needed"],
        "days_left": progress["days_left_at_current_traffic"],
    }
