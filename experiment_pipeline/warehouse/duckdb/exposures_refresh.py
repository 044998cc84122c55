"""Refreshes of first exposures: the last artifact with what came since where that is exact, all exposures otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import polars as pl

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.events import EPOCH, EXPOSURE_EVENT
from experiment_pipeline.domain.exposure_contract import ExposureFaults, require_exposure_contract
from experiment_pipeline.errors import ArtifactMissing, ContractBroken
from experiment_pipeline.storage.files import readable, replacing, whole
from experiment_pipeline.storage.object_path import StoragePath
from experiment_pipeline.warehouse.artifacts import STAMP_KEY, Stamp, read_stamp, restamp
from experiment_pipeline.warehouse.base import FirstExposures
from experiment_pipeline.warehouse.duckdb.arrow_columns import frame
from experiment_pipeline.warehouse.duckdb.entering_events import Known
from experiment_pipeline.warehouse.duckdb.first_exposures import first_exposures_statement
from experiment_pipeline.warehouse.duckdb.known_exposures import IDENTITY, brought_up_to_date
from experiment_pipeline.warehouse.duckdb.population import Integers
from experiment_pipeline.warehouse.duckdb.readings import MICROSECOND
from experiment_pipeline.warehouse.duckdb.resumed_scan import MILLISECONDS
from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.visible_events import over_visible
from experiment_pipeline.warehouse.refreshes import (
    ASKED_FOR,
    AUDIT,
    KnownScope,
    RefreshMode,
    RefreshPolicy,
    RefreshReport,
)

FIRST_EXPOSURES = "first_exposures"
BROKEN = "first exposures of the last refresh break their contract"


@dataclass(frozen=True, slots=True)
class ExposuresRefresh:
    """One refresh of the first exposures of one experiment.

    Attributes:
        connection: for all its queries.
        scope: of the analysis.
        target: the artifact, which the last refresh wrote.
        events: parameters of the statements that read events.
        now: what the artifact is computed for.
        obstacle: why no artifact can be brought up to date, given what it had seen; None if one can.
        removed: hashes of the identities that have lost rows since something was seen, sorted.
        policy: bounds of what is worth it.
        mode: what the caller asks for.
    """

    connection: duckdb.DuckDBPyConnection
    scope: AnalysisScope
    target: StoragePath
    events: Mapping[str, Any]
    now: KnownScope
    obstacle: Callable[[Known], str | None]
    removed: Callable[[Known], Integers]
    policy: RefreshPolicy
    mode: RefreshMode

    def write(self) -> FirstExposures:
        """Replace the artifact.

        Where the last artifact, brought up to date, breaks the contract, everything is read.

        Raises:
            ContractBroken: the new rows break the contract; the artifact stays as it was.
        """
        if self.mode is RefreshMode.FULL:
            return self._full(ASKED_FOR)
        earlier = self._earlier()
        if isinstance(earlier, str):
            return self._full(RefreshReport(earlier))
        if self.mode is not RefreshMode.AUDITED and earlier.since_full + 1 < self.policy.audit_every:
            try:
                return self._incremental(earlier)
            except ContractBroken:
                return self._full(RefreshReport(BROKEN))
        changed, _, _ = self._up_to_date(earlier)
        incremental = self._stored_rows.collect() if changed is None else changed
        written = self._full(RefreshReport(AUDIT, is_audited=True))
        if (difference := _difference(incremental, pl.read_parquet(whole(self.target), glob=False))) is None:
            return written
        report = replace(written.refresh, difference=difference)
        return self._full(report)  # with the difference in its stamp

    def _earlier(self) -> Stamp | str:
        """Return the stamp of the last artifact, or why everything is to be read."""
        audience = self.scope.audience
        if self.scope.feature is None or audience.entry is not None or audience.reads_properties:
            return "the audience is chosen or grouped by properties of events"
        try:
            stamp = read_stamp(self.target)
        except (OSError, ValueError, KeyError, pl.exceptions.PolarsError, ArtifactMissing):
            return "no first exposures of an earlier refresh"
        if stamp.definitions is None:
            return "no first exposures of an earlier refresh"
        if (reason := _known(stamp).obstacle(self.now)) is not None:
            return reason
        if (reason := self.obstacle(Known(stamp.window.as_of, stamp.data_version))) is not None:
            return reason
        (rows,) = self.connection.execute(
            "select sum(num_rows) from parquet_file_metadata($files)", {"files": [readable(self.target)]}
        ).fetchall()[0]
        least = self.policy.least_rows
        return stamp if rows >= least else f"fewer than {least:,} identities are read sooner than a state"

    def _incremental(self, earlier: Stamp) -> FirstExposures:
        rows, entering, sql = self._up_to_date(earlier)
        stamp = replace(self._stamp(sql, RefreshReport()), since_full=earlier.since_full + 1)
        if rows is None:  # to write a million rows anew takes longer than all else
            identities, quarantined = self._counted(self._stored_rows)
            restamp(self.target, stamp)
        else:
            identities, quarantined = self._counted(rows.lazy())
            with replacing(self.target) as temporary:
                rows.write_parquet(temporary, compression="snappy", metadata={STAMP_KEY: stamp.to_json()})
        report = RefreshReport(rows_read=entering, state_bytes=self.target.stat().st_size)
        return FirstExposures(identities, quarantined, sql, report)

    def _up_to_date(self, earlier: Stamp) -> tuple[pl.DataFrame | None, int, str]:
        """Return the first exposures, how many identities have new ones, and the statement that read these.

        The first exposures are None where those that are stored are the same.
        """
        known = Known(earlier.window.as_of, earlier.data_version)
        excluded = list(self.scope.audience.exclude_identifiers) or None
        bound = {**self.events, **self._of_flag(), "exclude_identifiers": excluded}
        sql, parameters = known.over_entering(statement(FIRST_EXPOSURES), bound)
        entering = frame(self.connection.sql(sql, params=parameters))
        removed = self.removed(known)
        if entering.is_empty() and not len(removed):
            return None, 0, sql
        stored = self._stored_rows.collect()
        rows = self._read_again(stored, known, bound, removed) if len(removed) else stored
        rows = brought_up_to_date(rows, entering)
        return None if rows is stored else rows, len(entering) + len(removed), sql

    def _read_again(self, stored: pl.DataFrame, known: Known, bound: dict[str, Any], removed: Integers) -> pl.DataFrame:
        """Return stored rows; those of identities that have lost rows are read again, of what was known then."""
        lost = pl.DataFrame({IDENTITY: removed})
        with TemporaryDirectory(prefix="experiment-pipeline-removed-") as folder:
            file = Path(folder, "removed.parquet")
            lost.write_parquet(file)
            since = self.scope.window.started_at
            sql, parameters = known.over_known(statement(FIRST_EXPOSURES), bound, escape(str(file)), since)
            again = frame(self.connection.sql(sql, params=parameters))
        return brought_up_to_date(stored.join(lost, on=IDENTITY, how="anti", maintain_order="left"), again)

    @property
    def _stored_rows(self) -> pl.LazyFrame:
        return pl.scan_parquet(whole(self.target), glob=False)

    def _full(self, report: RefreshReport) -> FirstExposures:
        if self.scope.feature is None:
            sql, chosen = statement("first_events"), {}
        else:
            sql, of_audience = first_exposures_statement(self.scope.audience)
            chosen = {**of_audience, **self._of_flag()}
        sql, parameters = over_visible(sql, {**self.events, **chosen})
        with replacing(self.target) as temporary:
            stamp = self._stamp(sql, report)
            self.connection.execute(sql, {**parameters, "target": str(temporary), "stamp": stamp.to_json()})
            identities, quarantined = self._counted(pl.scan_parquet(temporary, glob=False))
        kept = None if self.mode is RefreshMode.FULL else self.target.stat().st_size
        return FirstExposures(identities, quarantined, sql, replace(report, state_bytes=kept))

    def _counted(self, rows: pl.LazyFrame) -> tuple[int, int]:
        """Return how many identities there are, and how many saw several variants, once rows keep the contract."""
        identity, at = pl.col(IDENTITY), pl.col("first_exposed_at_ms")
        told = (identity, at, pl.col("variant"), pl.col("quarantined"))
        window = self.scope.window
        start, as_of = ((each - EPOCH) // MICROSECOND for each in (window.started_at, window.as_of))
        found = rows.select(
            pl.len().alias("identities"),
            pl.col("quarantined").sum(),
            (identity <= identity.shift(1)).sum().alias("repeated"),
            pl.any_horizontal(each.is_null() for each in told).sum().alias("incomplete"),
            ((at * MILLISECONDS < start) | (at * MILLISECONDS >= as_of)).sum().alias("outside_window"),
        )
        ((identities, quarantined, *faults),) = found.collect(engine="streaming").rows()  # a few columns at a time
        require_exposure_contract(ExposureFaults(*faults))
        return identities, quarantined

    def _stamp(self, sql: str, report: RefreshReport) -> Stamp:
        stamp = Stamp.of(self.scope, sql)
        if self.mode is RefreshMode.FULL or report.difference is not None:  # nothing is to be resumed from it
            return replace(stamp, difference=report.difference)
        return replace(stamp, definitions=self.now.definitions, history=self.now.history)

    def _of_flag(self) -> dict[str, Any]:
        return {"exposure_event": EXPOSURE_EVENT, "feature": self.scope.feature}


def _known(stamp: Stamp) -> KnownScope:
    """Return what an artifact was computed for."""
    return KnownScope(
        stamp.code_version,
        stamp.definitions or "",
        stamp.installation,
        stamp.history,
        stamp.window.started_at,
        stamp.window.as_of,
        stamp.data_version,
        stamp.since_full,
    )


def _difference(incremental: pl.DataFrame, full: pl.DataFrame) -> str | None:
    """Return what differs between the rows of both; None where nothing does."""
    if len(incremental) != len(full):
        return f"{len(incremental):,} first exposures instead of {len(full):,}"
    differing = [name for name in full.columns if not incremental[name].equals(full[name])]
    return f"{', '.join(differing)} of first exposures" if differing else None
