"""Shared events: one kind of event of several analyses, read from the lake once and kept on disk (rule N8).

Only the events of identities that any of the analyses has are kept, piece by piece, each piece sorted by identity. An
analysis then takes the rows of its own identities, of its own window, without looking at those of others. Pieces are
mapped into memory, so that the machine's page cache holds as much of them as there is room for.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.events import EPOCH
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.warehouse.duckdb.arrow_columns import PIECE, Batches, pieces
from experiment_pipeline.warehouse.duckdb.entering_events import Known
from experiment_pipeline.warehouse.duckdb.field_types import CODES
from experiment_pipeline.warehouse.duckdb.metric_values import Booleans
from experiment_pipeline.warehouse.duckdb.population import Integers, Population
from experiment_pipeline.warehouse.duckdb.readings import MICROSECOND, Reading
from experiment_pipeline.warehouse.duckdb.tally import Piece

Columns: TypeAlias = Mapping[str, NDArray[Any]]

IDENTITY_HASH, AT, BATCH = "identity_hash", "at_us", "batch"  # columns of readings
WHO, FIRST_ROW = "who", "first_row"  # of every identity of a piece: its number, and where its rows begin
ROWS_OF_PIECE = 2 * PIECE
ALIGNMENT = 64  # bytes
NOT_ANALYSED = -1


@dataclass(frozen=True, slots=True)
class Span:
    """The rows of one kind of event that one analysis reads.

    Attributes:
        start_us: of its window, less the longest pre-period, in microseconds since 1970.
        as_of_us: the end, exclusive.
        known: what an earlier refresh had seen, where only what entered the scope since is read; None for all rows.
    """

    start_us: int
    as_of_us: int
    known: Known | None = None

    @classmethod
    def of(cls, window: Window, reading: Reading, known: Known | None) -> "Span":
        """Return the rows that an analysis of a window reads for a reading."""
        start = window.started_at - reading.before
        return cls((start - EPOCH) // MICROSECOND, (window.as_of - EPOCH) // MICROSECOND, known)

    def chosen(self, columns: Columns) -> Booleans | None:
        """Return which of some rows are read; None where all are."""
        at = columns[AT]
        if not len(at):
            return None
        chosen = None
        if int(at.min()) < self.start_us or int(at.max()) >= self.as_of_us:
            chosen = (at >= self.start_us) & (at < self.as_of_us)
        if self.known is None:
            return chosen
        known_us = (self.known.as_of - EPOCH) // MICROSECOND
        entered = (columns[BATCH] > self.known.data_version) | (at >= known_us)
        return entered if chosen is None else chosen & entered


@dataclass(slots=True)
class SpanCounts:
    """Counts over the rows of one span, of everybody's events.

    Attributes:
        events: the rows.
        types: by property, how many rows have a value of each code (`field_types`).
    """

    events: int = 0
    types: dict[str, Integers] = field(default_factory=dict)

    def add(self, columns: Columns, chosen: Booleans | None, types: Mapping[str, str]) -> None:
        """Count rows; `types` has the column of each property."""
        self.events += len(columns[AT]) if chosen is None else int(np.count_nonzero(chosen))
        for path, name in types.items():
            codes = columns[name] if chosen is None else columns[name][chosen]
            self.types[path] = self.types.get(path, 0) + np.bincount(codes, minlength=CODES)


class SharedIdentities:
    """The identities of all analyses together, each with a number.

    Args:
        identity_hash: of every one, in rising order, each once.
    """

    def __init__(self, identity_hash: Integers) -> None:
        self.identity_hash = identity_hash
        self._last: tuple[Population, Integers] | None = None

    def find(self, hashes: Integers) -> Integers:
        """Return the numbers of identities; `NOT_ANALYSED` for those of no analysis."""
        if not len(self.identity_hash):
            return np.full(len(hashes), NOT_ANALYSED)
        places = np.minimum(np.searchsorted(self.identity_hash, hashes), len(self.identity_hash) - 1)
        return np.where(self.identity_hash[places] == hashes, places, NOT_ANALYSED)

    def numbers_in(self, population: Population) -> Integers:
        """Return the number of every one of these identities in a population; `NOT_ANALYSED` of one that it lacks."""
        if self._last is None or self._last[0] is not population:
            numbers = np.full(len(self.identity_hash), NOT_ANALYSED)
            places = self.find(population.identity_hash)
            assert (places != NOT_ANALYSED).all(), "the scan was planned with these first exposures"  # noqa: S101
            numbers[places] = np.arange(len(population))
            self._last = population, numbers
        return self._last[1]


@dataclass(frozen=True, slots=True)
class StoredPiece:
    """One piece on disk: by column, its type, the place of its first byte, and how many values it has."""

    places: Mapping[str, tuple[np.dtype[Any], int, int]]

    def columns(self, file: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return its columns, in the file that is mapped into memory."""
        return {
            name: file[first : first + size * dtype.itemsize].view(dtype)
            for name, (dtype, first, size) in self.places.items()
        }


@dataclass(frozen=True, slots=True)
class SharedEvents:
    """One kind of event, for all analyses that share it.

    Attributes:
        reading: of all of them together.
        known: what all of them have seen before, where only what entered since was read; None where everything was.
        identities: of all of them together.
        counts: by the span of an analysis.
        rows: that were read of the lake.
    """

    reading: Reading
    known: Known | None
    identities: SharedIdentities
    counts: Mapping[Span, SpanCounts]
    rows: int
    file: NDArray[np.uint8]
    stored: Sequence[StoredPiece]

    def has(self, reading: Reading, span: Span) -> bool:
        """Return whether an analysis finds here all that it reads for a reading."""
        columns = self.reading.columns
        return span in self.counts and all(name in columns for name in self._names(reading).values())

    def pieces(self, population: Population, reading: Reading, span: Span) -> Iterator[Piece]:
        """Yield the events of the identities of an analysis, with the columns of its own reading."""
        numbers = self.identities.numbers_in(population)
        names = {own: name for own, name in self._names(reading).items() if own != IDENTITY_HASH}
        for stored in self.stored:
            columns = stored.columns(self.file)
            of_identity = numbers[columns[WHO]]
            analysed = np.flatnonzero(of_identity != NOT_ANALYSED)
            if not len(analysed):
                continue
            rows, lengths = _rows_of(columns[FIRST_ROW], analysed)
            read = {name: _taken(columns[of], rows) for name, of in names.items()}
            belongs_to = np.repeat(np.arange(len(analysed)), lengths)
            of_span = {AT: read[AT], **({BATCH: _taken(columns[BATCH], rows)} if BATCH in columns else {})}
            if (chosen := span.chosen(of_span)) is not None:
                read = {name: values[chosen] for name, values in read.items()}
                kept, belongs_to = np.unique(belongs_to[chosen], return_inverse=True)
                analysed = analysed[kept]
            if len(belongs_to):
                identities = of_identity[analysed]
                yield Piece(population, read, (identities, population.starts_at[identities], belongs_to))

    def _names(self, reading: Reading) -> dict[str, str]:
        """Return the names that the columns of another reading have here; an empty one where a column is not here."""
        names = {name: name for name in reading.columns}
        names |= {own: self.reading.conditions.get(chosen, "") for chosen, own in reading.conditions.items()}
        return names | {own: self.reading.types.get(path, "") for path, own in reading.types.items()}


def _rows_of(first_row: Integers, analysed: Integers) -> tuple[Integers | slice, Integers]:
    """Return the rows of some identities of a piece, one identity after the other, and how many each has."""
    starts = first_row[analysed].astype(np.int64)
    lengths = first_row[analysed + 1] - starts
    if len(analysed) == len(first_row) - 1:
        return slice(None), lengths
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(int(ends[-1])), lengths


def _taken(values: NDArray[Any], rows: Integers | slice) -> NDArray[Any]:
    return values if isinstance(rows, slice) else values.take(rows)  # half the time of an index in brackets


class SharedEventsFile:
    """The file of one kind of event, while it is written.

    Args:
        path: of the file.
        reading: of all analyses together.
        identities: whose events are kept.
        spans: that are counted.
        has_batch: whether the rows' batches were read, after the columns of the reading.
        most_bytes: of the file.
    """

    def __init__(
        self,
        path: Path,
        reading: Reading,
        identities: SharedIdentities,
        spans: Collection[Span],
        *,
        has_batch: bool,
        most_bytes: int,
    ) -> None:
        self._path, self._reading, self._identities, self._most_bytes = path, reading, identities, most_bytes
        self._names = [*reading.columns, *([BATCH] if has_batch else [])]
        self._counts = {span: SpanCounts() for span in spans}
        self._stored: list[StoredPiece] = []
        self._rows = 0

    def written(self, read: Batches, known: Known | None) -> SharedEvents | None:
        """Write the rows of a query; None where these are more than the file may hold, which is then removed."""
        with self._path.open("wb") as file:
            for read_columns in pieces(read, ROWS_OF_PIECE):
                self._add(dict(zip(self._names, read_columns, strict=True)), file)
                if file.tell() > self._most_bytes:
                    self._path.unlink()
                    return None
            file.write(bytes(ALIGNMENT))  # an empty file cannot be mapped
        mapped = np.asarray(np.memmap(self._path, np.uint8, "r"))  # slices of a memmap take ten times as long
        return SharedEvents(self._reading, known, self._identities, self._counts, self._rows, mapped, self._stored)

    def _add(self, columns: dict[str, NDArray[Any]], file: IO[bytes]) -> None:
        for span, counts in self._counts.items():
            counts.add(columns, span.chosen(columns), self._reading.types)
        hashes = columns.pop(IDENTITY_HASH)
        self._rows += len(hashes)
        order: Integers | slice = slice(None)
        if (hashes[1:] < hashes[:-1]).any():
            order = np.argsort(hashes, kind="stable")
            hashes = hashes[order]
        first_row = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1], [True])))
        who = self._identities.find(hashes[first_row[:-1]])
        analysed = np.flatnonzero(who != NOT_ANALYSED)
        rows, lengths = _rows_of(first_row, analysed) if len(analysed) else (np.empty(0, np.int64), analysed)
        kept = {name: values[order][rows] for name, values in columns.items()}
        kept[WHO] = who[analysed].astype(np.int32)
        kept[FIRST_ROW] = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        if len(analysed):
            self._stored.append(_write(kept, file))


def _write(columns: Columns, file: IO[bytes]) -> StoredPiece:
    """Write one piece, and return its place."""
    places = {}
    for name, values in columns.items():
        file.write(bytes(-file.tell() % ALIGNMENT))
        places[name] = (values.dtype, file.tell(), len(values))
        file.write(np.ascontiguousarray(values).data)
    return StoredPiece(places)
