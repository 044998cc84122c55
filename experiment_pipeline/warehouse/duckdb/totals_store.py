"""Totals of identities on disk: what a refresh leaves for the next one (rules I1, I2).

    totals/<partition>[.<phase>].json      which files there are, and what they were computed for: the generation
    totals/<partition>[.<phase>]/*.parquet rows sorted by hash, one or more files per range of hashes

Files are written first and never changed; the generation that names them replaces the last one in one step. What a
killed refresh left is named by none, and goes when the next generation is written. A later file's row of an identity
stands in the place of earlier ones: a refresh appends the identities that it changed, and writes all of them anew when
these have become many.
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiment_pipeline.storage.files import adding, make_folder, remove_folder, replacing, sync, whole
from experiment_pipeline.storage.object_path import StoragePath
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.kept_aggregates import KeptAggregates
from experiment_pipeline.warehouse.refreshes import KnownScope

TOTALS = "totals"
FORMAT = 1  # of the generation's file; another one is not read
IDENTITY = "identity_hash"
COMPRESSION: Literal["uncompressed"] = "uncompressed"  # lz4 takes half the disk, and three times as long to read
REWRITTEN_FROM = 2  # all rows are written anew when more than one in so many was appended


@dataclass(frozen=True, slots=True)
class TotalsFile:
    """One file of a generation.

    Attributes:
        name: below the folder of the partition's phase.
        lowest_hash: of the range that its rows lie in; `highest_hash` likewise, inclusive.
    """

    name: str
    rows: int
    bytes: int
    lowest_hash: int
    highest_hash: int


@dataclass(frozen=True, slots=True)
class Generation:
    """The totals that one refresh left.

    Attributes:
        known: what it was computed for.
        requests: what the totals are of; those of the n-th are the columns that begin with `n.`.
        types: by property and event, as text, how many events have a value of each code (`field_types`).
        full_rows: events that the last full refresh read, and `full_seconds` how long that took.
        files: earlier ones first.
        aggregates: that were computed of them; None where none are kept.
    """

    known: KnownScope
    requests: tuple[str, ...]
    types: Mapping[str, list[int]]
    full_rows: int
    full_seconds: float
    files: tuple[TotalsFile, ...] = field(default=())
    aggregates: KeptAggregates | None = None

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)

    def to_json(self) -> str:
        """Return the generation as text."""
        known = asdict(self.known)
        times = {name: known[name].isoformat() for name in ("started_at", "as_of")}
        fields = asdict(replace(self, aggregates=None)) | {"known": known | times}
        kept = None if self.aggregates is None else self.aggregates.to_fields()  # `asdict` would copy every row
        return json.dumps({"format": FORMAT, **fields, "aggregates": kept})

    @classmethod
    def from_json(cls, text: str) -> "Generation | None":
        """Return the generation of such a text; None where it is of another format."""
        fields = json.loads(text)
        if fields.pop("format") != FORMAT:
            return None
        known = fields["known"]
        times = {name: datetime.fromisoformat(known[name]) for name in ("started_at", "as_of")}
        kept = fields.get("aggregates")
        return cls(
            **{
                **fields,
                "known": KnownScope(**known | times),
                "requests": tuple(fields["requests"]),
                "files": tuple(TotalsFile(**file) for file in fields["files"]),
                "aggregates": None if kept is None else KeptAggregates.from_fields(kept),
            }
        )


@dataclass(frozen=True, slots=True)
class TotalsStore:
    """The totals of one phase of one partition."""

    artifacts: ArtifactStore
    partition_key: str
    phase: int

    @property
    def path(self) -> StoragePath:
        """The file of the generation."""
        return self.artifacts.path(TOTALS, self.partition_key, self.phase).with_suffix(".json")

    @property
    def folder(self) -> StoragePath:
        """The folder of its rows."""
        return self.path.with_suffix("")

    def generation(self) -> Generation | None:
        """Return the last generation; None where there is none that can be read: then everything is computed anew."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = Generation.from_json(self.path.read_text("utf-8"))
            if found is not None and all(
                (self.folder / file.name).stat().st_size == file.bytes for file in found.files
            ):
                return found
        return None

    def rows(self, of: Generation, lowest: int, highest: int) -> Iterator[pl.DataFrame]:
        """Yield the rows of a range of hashes, sorted, file by file: later ones stand in the place of earlier ones."""
        for file in of.files:
            if file.lowest_hash <= highest and lowest <= file.highest_hash:
                path = self.folder / file.name
                if lowest <= file.lowest_hash and file.highest_hash <= highest:
                    yield pl.read_parquet(whole(path), glob=False)
                else:
                    in_range = pl.col(IDENTITY).is_between(lowest, highest)
                    yield pl.scan_parquet(whole(path), glob=False).filter(in_range).collect()

    def append(self, rows: pl.DataFrame, lowest: int, highest: int) -> TotalsFile:
        """Write rows of a range of hashes, sorted by hash, to a new file; no generation names it yet."""
        make_folder(self.folder)
        path = self.folder / f"{uuid.uuid4().hex}.parquet"
        with adding(path) as file:
            rows.write_parquet(file, compression=COMPRESSION, statistics=True)
        sync(path)
        return TotalsFile(path.name, len(rows), path.stat().st_size, lowest, highest)

    def publish(self, generation: Generation) -> None:
        """Replace the last generation, and remove the files that the new one does not name."""
        make_folder(self.folder)
        sync(self.folder)
        with replacing(self.path) as temporary:
            temporary.write_text(generation.to_json(), "utf-8")
        named = {file.name for file in generation.files}
        for path in self.folder.iterdir():
            if path.name not in named:
                path.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove the totals."""
        self.path.unlink(missing_ok=True)
        remove_folder(self.folder)


def may_append(files: Sequence[TotalsFile], changed: int) -> bool:
    """Return whether so many rows are appended to the files of a range: all are written anew once these are many."""
    whole = max((file.rows for file in files), default=0)
    return (sum(file.rows for file in files) - whole + changed) * REWRITTEN_FROM <= whole


def frame_of_totals(columns: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
    """Return arrays as rows, whole numbers in as few bytes as they need; all but the hashes may be cast back."""
    return pl.DataFrame([_short(name, values) for name, values in columns.items()])


def _short(name: str, values: NDArray[Any]) -> pl.Series:
    if name != IDENTITY and values.dtype == np.float64:
        with np.errstate(invalid="ignore"):
            whole = values.astype(np.int32)
        values = whole if (whole == values).all() else values
    series = pl.Series(name, values)
    return series.shrink_dtype() if name != IDENTITY and series.dtype.is_integer() else series
