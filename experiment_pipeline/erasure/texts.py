"""Texts outside the registry that may name an identity: Dagster's history, logs of runs, tables of looks (rule E6).

None of them holds identifiers by design; an error that quotes a record may. So each is searched for the identifier as a
word of its own, and the word is replaced. One of fewer than `LEAST_DISTINCTIVE` characters would be found everywhere:
it is not searched for, and the proof says so.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from experiment_pipeline.domain.erasures import ERASED, ErasedIdentity, redacted
from experiment_pipeline.erasure.stores import Finding
from experiment_pipeline.registry.identity_texts import IdentityTexts
from experiment_pipeline.storage.files import files_below, remove_folder, whole
from experiment_pipeline.storage.object_path import StoragePath

COLUMNS = {"event_logs": "event", "runs": "run_body", "job_ticks": "tick_body", "bulk_actions": "body"}  # of Dagster's
LOGS = ("*.err", "*.out", "*.log")
WAITS_SECONDS = 30.0  # for a lock of SQLite


@dataclass(frozen=True)
class RegistryTexts:
    """Audiences, the audit log, health findings, notifications and errors in the registry."""

    texts: IdentityTexts
    name: str = "registry"

    def search(self) -> Finding:
        """Search every text that may name an identity."""
        searched, found = self.texts.count()
        return Finding(searched, "texts", found, found)

    def erase(self) -> None:
        """Take the identity out."""
        self.texts.erase()


@dataclass(frozen=True)
class DagsterHistory:
    """Dagster's event log, runs and ticks in SQLite files below its home."""

    home: Path
    identity: ErasedIdentity
    name: str = "Dagster's history"

    def search(self) -> Finding:
        """Search the texts of every database."""
        files = self._files()
        found = [sum(1 for _ in self._named(database)) for database in map(_read, files)]
        return Finding(len(files), "databases", sum(count > 0 for count in found), sum(found))

    def erase(self) -> None:
        """Replace the identifier in every text that names it."""
        for file in self._files():
            with closing(sqlite3.connect(file, timeout=WAITS_SECONDS)) as database:
                database.execute("PRAGMA secure_delete = ON")
                rows = list(self._named(database))
                for table, number, text in rows:
                    statement = f"update {table} set {COLUMNS[table]} = ? where rowid = ?"  # noqa: S608 - our names
                    database.execute(statement, (text, number))
                database.commit()
                if rows:
                    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _files(self) -> list[Path]:
        return sorted(self.home.rglob("*.db")) if self.identity.is_distinctive else []

    def _named(self, database: sqlite3.Connection) -> Iterator[tuple[str, int, str]]:
        """Yield the rows that name the identity, with the text that takes the place of theirs."""
        there = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        for table, column in COLUMNS.items():
            if table not in there:
                continue
            read = f"select rowid, {column} from {table} where instr({column}, ?) > 0 or instr({column}, ?) > 0"  # noqa: S608
            bound = (self.identity.identifier, json.dumps(self.identity.identifier)[1:-1])
            for number, text in database.execute(read, bound).fetchall():
                if (without := _without(text, self.identity)) != text:
                    yield table, number, without


@dataclass(frozen=True)
class Logs:
    """Files that hold what runs have written to standard error and output, below Dagster's home."""

    home: Path
    identity: ErasedIdentity
    name: str = "logs of runs"

    def search(self) -> Finding:
        """Search every file."""
        files = self._files()
        found = [len(self.identity.token.findall(path.read_text("utf-8", "replace"))) for path in files]
        return Finding(len(files), "files", sum(count > 0 for count in found), sum(found))

    def erase(self) -> None:
        """Write over the identifier where it stands, letter by letter: a run may be writing to the same file."""
        word = re.compile(rb"(?<![\w@.+-])" + re.escape(self.identity.identifier.encode()) + rb"(?![\w@+-])")
        for path in self._files():
            with path.open("r+b") as opened:
                for found in word.finditer(opened.read()):
                    opened.seek(found.start())
                    opened.write(b"#" * (found.end() - found.start()))

    def _files(self) -> list[Path]:
        found = sorted(path for pattern in LOGS for path in self.home.rglob(pattern))
        return found if self.identity.is_distinctive else []


@dataclass(frozen=True)
class LookTexts:
    """The Delta tables of all looks: they hold what the registry holds, and are written anew where they name anybody.

    Attributes:
        forget: makes the next write of the tables write all of them.
    """

    folder: StoragePath
    identity: ErasedIdentity
    forget: Callable[[], None]
    name: str = "tables of all looks"

    def search(self) -> Finding:
        """Search the texts of every file of every version."""
        files = files_below(self.folder, "*.parquet") if self.identity.is_distinctive else []
        found = [self._count(path) for path in files]
        return Finding(len(files), "files", sum(count > 0 for count in found), sum(found))

    def erase(self) -> None:
        """Remove the tables where one names the identity."""
        if self.search().holders:
            remove_folder(self.folder)
            self.forget()

    def _count(self, path: StoragePath) -> int:
        try:
            texts = pl.read_parquet(whole(path), glob=False, hive_partitioning=False).select(pl.col(pl.String))
        except pl.exceptions.PolarsError:  # a log's checkpoint, or a file that was never finished
            return 0
        may_be = (column.drop_nulls() for column in texts if column.len())
        return sum(1 for column in may_be for text in column if self.identity.token.search(text))


def _read(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=WAITS_SECONDS)


def _without(text: str, identity: ErasedIdentity) -> str:
    """Return a text without the identifier; of JSON, its strings alone change."""
    try:
        value = json.loads(text)
    except ValueError:
        return identity.token.sub(ERASED, text)
    without = redacted(value, identity)
    return text if without == value else json.dumps(without)
