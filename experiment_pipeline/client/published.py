"""Published results and what belongs to them, each with its rows as a Polars frame."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from experiment_pipeline.client.answers import Json
from experiment_pipeline.schemas.responses import ExperimentView

if TYPE_CHECKING:  # Polars and the statistics take their time: they are loaded where a frame is made
    import polars as pl

    from experiment_pipeline.results.looks import LookSummary
    from experiment_pipeline.results.payload import ExposuresPayload, ResultsPayload
    from experiment_pipeline.results.results_table import LookLabels, ResultsColumn


@dataclass(frozen=True)
class _Published:
    """A payload of one phase of an experiment, and how recent it is.

    Attributes:
        experiment: as it is declared, in its newest phase.
        environment: its key.
        phase: of the experiment (rule X9).
        as_of: end of the window, UTC; None before anything was published.
        data_version: newest batch of the lake that was read (rule E6).
        computed_at: moment of publishing, UTC.
        is_final: whether no later look will come (rule R6).
        last_error_at: set while the last refresh failed; the payload is the last good one.
        refresh_requested_at: by a user, last; UTC.
        payload: as `GET .../results/` or `.../exposures/` has it; None before anything was published.
    """

    experiment: ExperimentView
    environment: str
    phase: int
    as_of: datetime | None = None
    data_version: int | None = None
    computed_at: datetime | None = None
    is_final: bool = False
    last_error_at: datetime | None = None
    refresh_requested_at: datetime | None = None
    payload: Any = field(default=None, repr=False)

    @property
    def started_at(self) -> datetime | None:
        """Start of the phase, UTC."""
        ended = {each.phase: each.started_at for each in self.experiment.ended_phases}
        return ended.get(self.phase, self.experiment.started_at)

    @property
    def ended_at(self) -> datetime | None:
        """End of the phase, UTC; None while it runs."""
        ended = {each.phase: each.ended_at for each in self.experiment.ended_phases}
        return ended.get(self.phase, self.experiment.ended_at)

    def _labels(self) -> "LookLabels":
        from experiment_pipeline.results.results_table import LookLabels

        return LookLabels(
            experiment=self.experiment.key,
            environment=self.environment,
            phase=self.phase,
            started_at=self.started_at,
            as_of=self.as_of,
            data_version=self.data_version,
            is_final=self.is_final,
            metrics={each.metric: (each.name, each.aggregation) for each in self.experiment.metrics},
        )


@dataclass(frozen=True)
class Results(_Published):
    """The results that were published last."""

    payload: "ResultsPayload | None" = field(default=None, repr=False)

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per metric and treatment; no rows before anything was published.

        The columns are those of `experiment_pipeline.results.results_table.COLUMNS`, which describes each of them.
        """
        from experiment_pipeline.results.results_table import COLUMNS, look_rows

        return _frame([] if self.payload is None else look_rows(self._labels(), self.payload), COLUMNS)


@dataclass(frozen=True)
class Breakdowns(_Published):
    """The steps, slices and dimensions of the results that were published last."""

    payload: "ResultsPayload | None" = field(default=None, repr=False)

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per part of a metric and treatment; no rows before anything was published.

        The columns are those of `experiment_pipeline.results.parts_table.PART_COLUMNS`.
        """
        from experiment_pipeline.results.parts_table import PART_COLUMNS, part_rows

        return _frame([] if self.payload is None else part_rows(self._labels(), self.payload), PART_COLUMNS)


@dataclass(frozen=True)
class Exposures(_Published):
    """The exposures that were published last."""

    payload: "ExposuresPayload | None" = field(default=None, repr=False)

    def to_polars(self) -> "pl.DataFrame":
        """Return `bucket` (start of an hour or a day, UTC), `variant` and `new_identities`, sorted by bucket."""
        import polars as pl

        points = [] if self.payload is None else self.payload["timeseries"]["points"]
        rows = [
            (datetime.fromisoformat(point["bucket"]), variant, count)
            for point in points
            for variant, count in point["new_identities"].items()
        ]
        schema: dict[str, Any] = {
            "bucket": pl.Datetime("us", "UTC"),
            "variant": pl.String,
            "new_identities": pl.Int64,
        }
        return pl.DataFrame(rows, schema, orient="row")


@dataclass(frozen=True)
class Looks(Sequence["LookSummary"]):
    """Every published look of a phase, newest first (rule R9)."""

    looks: "tuple[LookSummary, ...]"

    def __getitem__(self, index: Any) -> Any:
        return self.looks[index]

    def __len__(self) -> int:
        return len(self.looks)

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per look: what it was, and what moved since the one before; null where it is not known."""
        import polars as pl

        moment = pl.Datetime("us", "UTC")
        schema: dict[str, Any] = {
            "phase": pl.Int64, "look": pl.Int64, "as_of": moment, "data_version": pl.Int64, "code_version": pl.String,
            "computed_at": moment, "identities": pl.Int64, "trustworthy": pl.Boolean, "decision": pl.String,
            "new_identities": pl.Int64, "late_events": pl.Int64, "restated_identities": pl.Int64,
            "newly_quarantined": pl.Int64, "removed_events": pl.Int64, "code_changed": pl.Boolean,
        }  # fmt: skip
        return pl.DataFrame([dict(_look_cells(each, schema)) for each in self.looks], schema)


@dataclass(frozen=True)
class Finding:
    """The outcome of one health check; docs/health.md has every code."""

    check: str
    code: str
    severity: str
    title: str
    detail: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Health:
    """The findings of every health check, the worst first; none before results were published.

    Attributes:
        as_of: of the results that they were stored with, UTC.
    """

    as_of: datetime | None = None
    data_version: int | None = None
    findings: tuple[Finding, ...] = ()

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per check; `evidence` is JSON."""
        import polars as pl

        names = ("check", "code", "severity", "title", "detail", "evidence")
        rows = [
            (each.check, each.code, each.severity, each.title, each.detail, json.dumps(each.evidence))
            for each in self.findings
        ]
        return pl.DataFrame(rows, dict.fromkeys(names, pl.String), orient="row")


def envelope_fields(envelope: Json | None) -> dict[str, Any]:
    """Return the fields of an envelope of the API, its moments as UTC."""
    if envelope is None:
        return {}
    moments = ("as_of", "computed_at", "last_error_at", "refresh_requested_at")
    return {name: moment(envelope[name]) for name in moments} | {
        name: envelope[name] for name in ("phase", "data_version", "is_final", "payload")
    }


def moment(text: str | None) -> datetime | None:
    """Return a moment of a document."""
    return None if text is None else datetime.fromisoformat(text)


def _look_cells(look: "LookSummary", names: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    moved: Mapping[str, Any] = look["moved"] or {}
    found = {**look, **moved, **(moved.get("restated") or {}), "look": look["number"]}
    for name in names:
        cell = found.get(name)
        yield name, moment(cell) if name in ("as_of", "computed_at") else cell


def _frame(rows: Sequence[Mapping[str, object]], columns: "Sequence[ResultsColumn]") -> "pl.DataFrame":
    import polars as pl

    from experiment_pipeline.results.results_table import ColumnType

    types = {
        ColumnType.TEXT: pl.String(),
        ColumnType.WHOLE: pl.Int64(),
        ColumnType.NUMBER: pl.Float64(),
        ColumnType.TRUTH: pl.Boolean(),
        ColumnType.TIME: pl.Datetime("us", "UTC"),
    }
    series = [
        pl.Series(each.name, [row[each.name] for row in rows], types[each.type], strict=False) for each in columns
    ]
    return pl.DataFrame(series)
