"""Resumed scans: totals of an earlier refresh, and the events that have entered the scope since (rule I1).

An identity whose analysis starts where the state says goes on from its totals. Every other one is read again: one that
is new, that was exposed earlier than was known, or that the state does not have for whatever reason. So a state that
holds the exact totals of its own scope can never make a result wrong, whoever is analysed now.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from arro3.core import RecordBatch
from numpy.typing import NDArray

from experiment_pipeline.domain.events import EPOCH
from experiment_pipeline.warehouse.duckdb.accumulators import ACCUMULATORS
from experiment_pipeline.warehouse.duckdb.arrow_columns import NO_ROWS, ahead, batches
from experiment_pipeline.warehouse.duckdb.entering_events import Known
from experiment_pipeline.warehouse.duckdb.event_scan import (
    EventScan,
    ScannedRange,
    Types,
    empty_kept,
    empty_types,
    keep_events,
    until_end,
)
from experiment_pipeline.warehouse.duckdb.metric_values import Booleans, Kept
from experiment_pipeline.warehouse.duckdb.population import Integers, Population
from experiment_pipeline.warehouse.duckdb.readings import MICROSECOND, Reading, Request, Tallied
from experiment_pipeline.warehouse.duckdb.tally import Tally
from experiment_pipeline.warehouse.duckdb.totals_store import IDENTITY
from experiment_pipeline.warehouse.duckdb.visible_events import Parameters, over_visible
from experiment_pipeline.warehouse.refreshes import MOST_CHANGED

STARTS_AT, EXPOSED_BEFORE = "starts_at_ms", "exposed_before_ms"  # since the window's start; before the start
NOT_KNOWN = -1  # where the analysis of an identity starts that the state does not have
MILLISECONDS = 1000  # of microseconds

FEW = 8  # of so many elements one: fewer are taken by their positions, more in less time by a mask

Positions: TypeAlias = Integers | Booleans | slice


@dataclass(frozen=True, slots=True)
class StoredTotals:
    """The totals that an earlier refresh left of a range of hashes.

    Attributes:
        known: what that refresh had seen.
        started_at_us: start of the window, in microseconds since 1970.
        requests: what they are of: the text of a request, and the number that its columns begin with.
        types: how many events of the range had a value of each type, of the readings that choose by properties.
        rows: sorted by hash; the rows of later frames stand in the place of those of earlier ones.
        removed: hashes of the identities that have lost rows since, sorted: their totals count these (rule E6).
    """

    known: Known
    started_at_us: int
    requests: Mapping[str, int]
    types: Types
    rows: Sequence[pl.DataFrame]
    removed: Integers = field(default_factory=lambda: NO_ROWS)

    def is_of(self, reading: Reading) -> bool:
        """Return whether there are totals for all that a reading is for."""
        has_types = all((reading.name, path) in self.types for path in reading.types)
        has_types &= not (reading.types and len(self.removed))  # they are counted of all events together
        requests = [text_of(request, reading) for request in reading.requests]
        return resumes(reading) and has_types and all(each in self.requests for each in requests)


class MatchedTotals:
    """The totals of an earlier refresh, of the identities that are analysed now.

    Attributes:
        resumed: of each identity, whether its analysis starts where it did and it has lost no row, so that it goes on
            from its totals.
    """

    def __init__(self, stored: StoredTotals, population: Population) -> None:
        self._stored = stored
        stored_rows = [rows.rechunk() for rows in stored.rows]  # so that its columns are arrays as they are
        self._matches = [(rows, *common(rows[IDENTITY].to_numpy(), population.identity_hash)) for rows in stored_rows]
        starts, before = (np.full(len(population), NOT_KNOWN, np.int64) for _ in range(2))
        for rows, found, numbers in self._matches:
            starts[numbers] = column(rows, STARTS_AT)[found]
            before[numbers] = column(rows, EXPOSED_BEFORE)[found]
        now = start_columns(population, stored.started_at_us)
        self.resumed: Booleans = (starts == now[STARTS_AT]) & (before == now[EXPOSED_BEFORE])
        self.resumed[common(stored.removed, population.identity_hash)[1]] = False

    def resume(self, kept: Mapping[Request, Kept], reading: Reading) -> None:
        """Give the tallies of a reading the totals of the identities that go on from them."""
        for rows, found, numbers in self._going_on:
            for request, tally in kept.items():
                prefix = f"{self._stored.requests[text_of(request, reading)]}."
                names = [name for name in rows.columns if name.startswith(prefix)]
                assert isinstance(tally, Tally)  # noqa: S101 - a request that resumes is of tallied events
                tally.resume(numbers, {name.removeprefix(prefix): rows[name].to_numpy()[found] for name in names})

    @cached_property
    def _going_on(self) -> list[tuple[pl.DataFrame, Positions, Positions]]:
        """The rows of the identities that go on from them, with their positions in the rows and the population."""
        if self.resumed.all():
            return self._matches
        return [
            (rows, _chosen(found, self.resumed[numbers]), _chosen(numbers, self.resumed[numbers]))
            for rows, found, numbers in self._matches
        ]

    def gone(self) -> Integers:
        """Return the hashes of the identities that have totals and are not analysed now, sorted."""
        starts: dict[int, int] = {}
        for rows, found, _ in self._matches:
            if isinstance(found, slice):
                continue
            is_absent = np.ones(len(rows), bool)
            is_absent[found] = False
            hashes = rows[IDENTITY].to_numpy()[is_absent].tolist()
            starts |= dict(zip(hashes, column(rows, STARTS_AT)[is_absent].tolist(), strict=True))
        return np.array(sorted(each for each, start in starts.items() if start != NOT_KNOWN), np.int64)


@dataclass(frozen=True, slots=True)
class Resumed:
    """The identities and events that a resumed scan found.

    Attributes:
        touched: of each identity, whether its totals may differ from those that the state has.
        gone: hashes of identities that have totals and are not analysed now.
        is_incremental: whether any reading went on from totals.
    """

    scanned: ScannedRange
    touched: Booleans
    gone: Integers
    is_incremental: bool


@dataclass(frozen=True, slots=True)
class _Planned:
    """How one reading is read.

    Attributes:
        is_resumed: whether it goes on from totals.
        read_again: how many identities have no totals, and may have counted events that were seen before.
        changed_file: their hashes; empty where there are none.
        since: the first moment on at which an event of theirs can count.
    """

    reading: Reading
    is_resumed: bool = False
    read_again: int = 0
    changed_file: str = ""
    since: datetime = EPOCH


@dataclass(frozen=True, slots=True)
class ResumedScan:
    """One scan of a range of identities that goes on from an earlier refresh; see `EventScan`.

    Attributes:
        scan: of all events.
        stored: the totals of the earlier refresh.
        folder: for its files.
    """

    scan: EventScan
    stored: StoredTotals
    folder: Path

    def scanned(self, wanted: Sequence[Reading]) -> Resumed:
        """Return the identities, and what was kept of their events for every request."""
        population, members = self.scan.identified()
        totals = MatchedTotals(self.stored, population)
        changed = np.flatnonzero(~totals.resumed)
        plan = [self._planned(reading, population, changed) for reading in wanted]
        if any(each.read_again * MOST_CHANGED > len(population) for each in plan):
            everybody = np.ones(len(population), bool)
            everything = self.scan.events_of(population, members, wanted)
            return Resumed(everything, everybody, totals.gone(), is_incremental=False)
        touched = ~totals.resumed
        found = ScannedRange(population, {}, members, {})
        with closing(self._answers(plan)) as answers, closing(ahead(answers)) as read:
            events = sum(self._keep(each, totals, found, read, touched) for each in plan)
        if any(resumes(each.reading) and not each.is_resumed for each in plan):
            touched[:] = True  # the state has no totals of that reading yet
        is_incremental = any(each.is_resumed for each in plan)
        return Resumed(replace(found, events=events), touched, totals.gone(), is_incremental)

    def _keep(
        self,
        planned: _Planned,
        totals: MatchedTotals,
        found: ScannedRange,
        read: Iterator[RecordBatch | None],
        touched: Booleans,
    ) -> int:
        """Keep the events of one reading; return how many there were."""
        population, reading = found.population, planned.reading
        kept, types = empty_kept(population, reading), empty_types(reading)
        known = self.stored.known if planned.is_resumed else None
        if planned.is_resumed:
            totals.resume(kept, reading)
            types = {key: self.stored.types[key].copy() for key in types}
        seen = touched if planned.is_resumed else None
        if (shared := self.scan.find_shared(reading, known)) is not None:
            events = shared.keep(population, kept, types=types, seen=seen)
        else:
            events = keep_events(population, reading, kept, until_end(read), types=types, seen=seen)
        if planned.changed_file:
            events += keep_events(population, reading, kept, until_end(read))
        found.kept.update(kept)
        found.types.update(types)
        return events

    def _planned(self, reading: Reading, population: Population, changed: Integers) -> _Planned:
        """Return how a reading is read."""
        if not self.stored.is_of(reading):
            return _Planned(reading)
        first_at = population.first_exposed_at(changed) - reading.before // MICROSECOND
        is_late = first_at < (self.stored.known.as_of - EPOCH) // MICROSECOND
        if not is_late.any():
            return _Planned(reading, is_resumed=True)
        again = changed[is_late]
        file = self.folder / f"changed-{reading.before // MICROSECOND}.parquet"
        pl.DataFrame({IDENTITY: population.identity_hash[again]}).write_parquet(file)
        since = EPOCH + timedelta(microseconds=int(first_at.min()))
        return _Planned(reading, is_resumed=True, read_again=len(again), changed_file=escape(str(file)), since=since)

    def _answers(self, plan: Sequence[_Planned]) -> Generator[RecordBatch | None, None, None]:
        """Yield the events of each reading that came, and then those that are read again; None ends each of both."""
        with self.scan.connection.cursor() as cursor:
            for sql, parameters in (each for planned in plan for each in self._statements(planned)):
                yield from batches(cursor.sql(sql, params=parameters))
                yield None

    def _statements(self, planned: _Planned) -> Iterator[tuple[str, Parameters]]:
        """Yield the statements of a reading, with their parameters; none for what is shared."""
        sql, parameters = self.scan.statement(planned.reading)
        known = self.stored.known if planned.is_resumed else None
        if self.scan.find_shared(planned.reading, known) is None:
            yield over_visible(sql, parameters) if known is None else known.over_entering(sql, parameters)
        if known is not None and planned.changed_file:
            yield known.over_known(sql, parameters, planned.changed_file, planned.since)


def resumes(reading: Reading) -> bool:
    """Return whether totals of a few numbers per identity tell all that a reading keeps of its events."""
    return all(
        isinstance(request, Tallied)
        and request.slice is None
        and all(ACCUMULATORS[each].resumes for each in aggregations if each in ACCUMULATORS)
        for request, aggregations in reading.requests.items()
    )


def text_of(request: Request, reading: Reading) -> str:
    """Return what totals are of: the request, and what is kept for its aggregations."""
    aggregations = reading.requests[request]
    kinds = sorted({ACCUMULATORS[each].__name__ for each in aggregations if each in ACCUMULATORS})
    return f"{request!r} {kinds} {any(each.reads_numbers for each in aggregations)} {reading.before}"


def total_columns(
    population: Population, kept: Mapping[Request, Kept], requests: Mapping[Request, int], started_at_us: int
) -> dict[str, NDArray[Any]]:
    """Return the rows of a state: identities, where their analysis starts, and their totals of some requests."""
    found: dict[str, NDArray[Any]] = {IDENTITY: population.identity_hash, **start_columns(population, started_at_us)}
    for request, number in requests.items():
        tally = kept[request]
        assert isinstance(tally, Tally)  # noqa: S101 - a request that resumes is of tallied events
        found |= {f"{number}.{name}": total for name, total in tally.totals().items()}
    return found


def start_columns(population: Population, started_at_us: int) -> dict[str, Integers]:
    """Return where the analysis of every identity starts, in milliseconds."""
    exposed_at = population.first_exposed_at(np.arange(len(population)))
    return {
        STARTS_AT: (population.starts_at - started_at_us) // MILLISECONDS,
        EXPOSED_BEFORE: (population.starts_at - exposed_at) // MILLISECONDS,
    }


def common(stored: Integers, hashes: Integers) -> tuple[Positions, Positions]:
    """Return the positions of the hashes that both of two sorted arrays have; a slice where all of one are."""
    if not len(stored) or not len(hashes):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if np.array_equal(stored, hashes):
        return slice(None), slice(None)
    fewer, more = (stored, hashes) if len(stored) < len(hashes) else (hashes, stored)
    places = np.minimum(np.searchsorted(more, fewer), len(more) - 1)
    found = np.flatnonzero(more[places] == fewer)
    in_fewer, in_more = _compact(found, len(fewer)), _compact(places[found], len(more))
    return (in_fewer, in_more) if fewer is stored else (in_more, in_fewer)


def _compact(positions: Integers, size: int) -> Positions:
    """Return rising positions as what takes elements in the least time."""
    if len(positions) == size:
        return slice(None)
    if len(positions) * FEW < size:
        return positions
    mask = np.zeros(size, bool)
    mask[positions] = True
    return mask


def column(rows: pl.DataFrame, name: str) -> NDArray[Any]:
    """Return a column of a state as the engine's own arrays: whole numbers, or doubles."""
    values = rows[name]
    return values.cast(pl.Int64 if values.dtype.is_integer() else pl.Float64).to_numpy()


def _chosen(positions: Positions, chosen: Booleans) -> Positions:
    """Return those of the positions of which it is true."""
    if isinstance(positions, slice):
        return chosen
    if positions.dtype != bool:
        return positions[chosen]
    mask = positions.copy()
    mask[positions] = chosen
    return mask
