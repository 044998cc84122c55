"""The tables of all looks that analysts read: their names, columns and rows. docs/tables.md has the same.

A column is only ever added: readers of a table that was written years ago find what they know.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.looks import Look
from experiment_pipeline.results import results_table
from experiment_pipeline.results.payload import ExposuresPayload
from experiment_pipeline.results.results_table import LOOK_KEY, Cell, ColumnOrigin, ColumnType, ResultsColumn

OF_LOOK = {column.name: column for column in results_table.COLUMNS}
SHARED = (*LOOK_KEY, "as_of", "data_version")


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One table.

    Attributes:
        name: of its folder, too.
        description: a sentence for people.
        columns: in their order; new ones come last.
        key: the columns that no two rows have in common.
    """

    name: str
    description: str
    columns: tuple[ResultsColumn, ...]
    key: tuple[str, ...]


def _declared(name: str, kind: ColumnType, description: str) -> ResultsColumn:
    return ResultsColumn(name, kind, description, ColumnOrigin.DECLARED)


def _exposed(name: str, kind: ColumnType, description: str) -> ResultsColumn:
    return ResultsColumn(name, kind, description, ColumnOrigin.EXPOSURES)


def _column(name: str, kind: ColumnType, description: str) -> ResultsColumn:
    return ResultsColumn(name, kind, description)


RESULTS = PublishedTable(
    "results",
    "Results of every look: one row per experiment, phase, look, metric and treatment.",
    results_table.COLUMNS,
    results_table.ROW_KEY,
)

LOOKS = PublishedTable(
    "looks",
    "Every look: one row per experiment, phase and look, with the split, the decision and what moved since.",
    (
        *(OF_LOOK[name] for name in (*LOOK_KEY, "started_at", "as_of", "data_version", "is_final", "trustworthy")),
        _declared("feature", ColumnType.TEXT, "Feature flag whose variants the experiment compares."),
        _declared("computed_at", ColumnType.TIME, "Moment at which the look was published, UTC."),
        _declared("code_version", ColumnType.TEXT, "Digest of the code that computed it."),
        _exposed("identities", ColumnType.WHOLE, "Analysed identities of all compared variants."),
        _exposed("srm_p_value", ColumnType.NUMBER, "p-value of the split for those who look once (rule S3)."),
        _exposed("srm_anytime_p_value", ColumnType.NUMBER, "p-value of the split that holds at every look (rule S3)."),
        _exposed("srm_reason", ColumnType.TEXT, "Reason why the split is not tested, or not trustworthy; else null."),
        _column("decision", ColumnType.TEXT, "Action for the experiment; null without a metric."),
        _column("decision_treatment", ColumnType.TEXT, "Treatment to ship; null for none."),
        _column("decision_rule", ColumnType.TEXT, "Rule that makes the decision (docs/statistics.md)."),
        _column("decision_why", ColumnType.TEXT, "Reason for the decision, in one sentence."),
        _declared("previous_as_of", ColumnType.TIME, "The as-of of the look before, UTC; null for the first."),
        _exposed("new_identities", ColumnType.WHOLE, "Identities that the look before did not analyse (rule R9)."),
        _column("late_events", ColumnType.WHOLE, "Events that came late since the look before (rule R9)."),
        _column("restated_identities", ColumnType.WHOLE, "Identities of both looks with other values (rule R9)."),
        _exposed("newly_quarantined", ColumnType.WHOLE, "Identities of the look before that are excluded now."),
        _column("removed_events", ColumnType.WHOLE, "Events that the look before read and that were removed (E6)."),
        _declared("code_changed", ColumnType.TRUTH, "Whether other code computed the look before."),
        _column("health_errors", ColumnType.WHOLE, "Health findings of severity error; null where none were made."),
        _column("health_warnings", ColumnType.WHOLE, "Health findings of severity warning; likewise."),
    ),
    LOOK_KEY,
)

EXPOSURES_TIMESERIES = PublishedTable(
    "exposures_timeseries",
    "Exposed identities over time, as every look saw them: one row per look, variant and bucket.",
    (
        *(OF_LOOK[name] for name in SHARED),
        _declared("granularity", ColumnType.TEXT, "Length of a bucket: hour or day (rule X4)."),
        _exposed("bucket", ColumnType.TIME, "Start of the hour or day, UTC."),
        _exposed("variant", ColumnType.TEXT, "Key of the variant; null for all that are not listed (rule X6)."),
        _exposed("new_identities", ColumnType.WHOLE, "Identities whose first exposure is in the bucket."),
        _exposed("identities", ColumnType.WHOLE, "Identities whose first exposure is in the bucket or before it."),
    ),
    (*LOOK_KEY, "variant", "bucket"),
)

HEALTH = PublishedTable(
    "health",
    "Health checks that did not pass when a look was published: one row per look and finding.",
    (
        *(OF_LOOK[name] for name in SHARED),
        _declared("check", ColumnType.TEXT, "Name of the health check (docs/health.md)."),
        _column("code", ColumnType.TEXT, "Outcome, for programs."),
        _column("severity", ColumnType.TEXT, "Severity: error or warning."),
        _column("title", ColumnType.TEXT, "Outcome, for people, in a few words."),
        _column("detail", ColumnType.TEXT, "The same with its numbers; null of looks from before they were kept."),
        _column("evidence", ColumnType.TEXT, "Numbers that it rests on, as a JSON object; null as `detail` is."),
    ),
    (*LOOK_KEY, "check"),
)

PUBLISHED_TABLES = (RESULTS, LOOKS, EXPOSURES_TIMESERIES, HEALTH)

Row = dict[str, Cell]


def looks_row(experiment: Experiment, look: Look, *, is_final: bool) -> Row:
    """Return the row of a look.

    Args:
        experiment: in the phase of the look.
        look: as it was published.
        is_final: whether no later look will come (rule R6).
    """
    payload = look.payload
    decision, moved, health = payload.get("decision") or {}, payload.get("look"), payload.get("health")
    row: Row = {
        **_shared(experiment, look),
        "started_at": experiment.started_at,
        "is_final": is_final,
        "trustworthy": payload["trustworthy"],
        "feature": experiment.feature,
        "computed_at": look.computed_at,
        "code_version": look.code_version,
        "identities": look.identities,
        "srm_p_value": payload["srm_p_value"],
        "srm_anytime_p_value": payload["srm"].get("anytime_p_value"),
        "srm_reason": payload["srm"].get("reason"),
        "decision": decision.get("action"),
        "decision_treatment": decision.get("treatment"),
        "decision_rule": decision.get("rule"),
        "decision_why": decision.get("why"),
        **({} if moved is None else _moved(moved)),
    }
    if health is not None:
        for severity in ("error", "warning"):
            row[f"health_{severity}s"] = sum(found["severity"] == severity for found in health)
    return _whole(LOOKS, row)


def exposures_rows(experiment: Experiment, look: Look, exposures: ExposuresPayload) -> list[Row]:
    """Return the rows of the exposures that were published with a look: each variant at each bucket of any of them.

    Args:
        experiment: in the phase of the look.
        look: as it was published.
        exposures: of the same moment and data version.
    """
    series = exposures["timeseries"]
    counts = [
        dict[str | None, int](point["new_identities"])
        | ({None: point["unlisted_identities"]} if "unlisted_identities" in point else {})
        for point in series["points"]
    ]
    common = {**_shared(experiment, look), "granularity": series["granularity"]}
    rows: list[Row] = []
    for variant in dict.fromkeys(variant for count in counts for variant in count):
        new = [count.get(variant, 0) for count in counts]
        for point, added, total in zip(series["points"], new, accumulate(new), strict=True):
            cells: Row = {"variant": variant, "new_identities": added, "identities": total}
            cells["bucket"] = datetime.fromisoformat(point["bucket"])
            rows.append(_whole(EXPOSURES_TIMESERIES, common | cells))
    return rows


def finding_rows(experiment: Experiment, look: Look, findings: Sequence[Mapping[str, Any]] | None) -> list[Row]:
    """Return the rows of the health checks that did not pass.

    Args:
        experiment: in the phase of the look.
        look: as it was published.
        findings: that were stored with it; None of a look from before they were, whose payload has their titles.
    """
    found = look.payload.get("health") or () if findings is None else findings
    return [
        _whole(
            HEALTH,
            {
                **_shared(experiment, look),
                **{name: each.get(name) for name in ("check", "code", "severity", "title", "detail")},
                "evidence": json.dumps(each["evidence"], ensure_ascii=False) if "evidence" in each else None,
            },
        )
        for each in found
    ]


def _shared(experiment: Experiment, look: Look) -> Row:
    return {
        "experiment": experiment.key,
        "environment": experiment.environment_key,
        "phase": look.phase,
        "look": look.number,
        "as_of": look.as_of,
        "data_version": look.data_version,
    }


def _moved(moved: Mapping[str, Any]) -> Row:
    restated, previous = moved["restated"] or {}, moved["previous_as_of"]
    return {
        "previous_as_of": None if previous is None else datetime.fromisoformat(previous),
        "new_identities": moved["new_identities"],
        "code_changed": moved["code_changed"],
        **{
            name: restated.get(name)
            for name in ("late_events", "restated_identities", "newly_quarantined", "removed_events")
        },
    }


def _whole(table: PublishedTable, row: Row) -> Row:
    """Return a row with every column of its table, in their order; null where it has none."""
    return {column.name: row.get(column.name) for column in table.columns}
