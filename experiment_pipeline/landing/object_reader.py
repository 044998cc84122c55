"""Reading one object, whatever becomes of it: the last resort that keeps a damaged one from holding up all others."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import structlog

from experiment_pipeline.landing.json_lines import LineReader
from experiment_pipeline.landing.layout import is_parquet
from experiment_pipeline.landing.object_errors import is_of_one_object, is_operating_system_error
from experiment_pipeline.landing.parquet_rows import RowReader
from experiment_pipeline.landing.problems import Problem
from experiment_pipeline.storage.files import local_copy
from experiment_pipeline.storage.object_path import StoragePath

ATTEMPTS = 2
RETRY_SECONDS = 0.5  # a file server may have hesitated
log = structlog.get_logger(__name__)


class ObjectReader:
    """Reads one landing object.

    Once its lines are read, `problem` says what is wrong with the object as a whole, if anything, and `error` what has
    kept it from being read to its end, if that was none of the errors that damaged files usually bring.
    `unknown_fields` has the rows of a Parquet file's columns that rule E1 does not know.
    """

    def __init__(self, landing: StoragePath, name: str, timezone: ZoneInfo | None = None) -> None:
        self._timezone = timezone
        self.path = landing.absolute() / name  # Polars takes a leading ~ of a relative path for a home directory
        self.name = name
        self.problem: str | None = None
        self.unknown_fields: dict[str, int] = {}
        self.error: str | None = None

    def lines(self) -> Iterator[pl.DataFrame]:
        """Yield frames `line` (UInt32, from 1) and `text`. Raises only what the object is not to blame for."""
        with ExitStack() as copies:
            try:
                path = copies.enter_context(local_copy(self.path))
            except FileNotFoundError:
                self.problem = Problem.MISSING
                return
            yield from self._lines(path)

    def _lines(self, path: Path) -> Iterator[pl.DataFrame]:
        last_line = 0
        for attempt in range(1, ATTEMPTS + 1):
            reader = RowReader(path, self._timezone) if is_parquet(self.name) else LineReader(path)
            try:
                for frame in reader.lines():
                    unread = frame if attempt == 1 else frame.filter(pl.col("line") > last_line)
                    last_line = unread.item(-1, "line") if unread.height else last_line
                    yield unread
            except BaseException as error:
                is_of_object = is_of_one_object(error)
                if attempt < ATTEMPTS and (is_of_object or is_operating_system_error(error)):
                    time.sleep(RETRY_SECONDS)
                elif is_of_object:
                    self.set_aside(f"{type(error).__name__}: {error}")
                    return
                else:
                    raise
            else:
                self.problem = reader.problem
                if isinstance(reader, RowReader):
                    self.unknown_fields = reader.unknown_fields
                    self.problem = f"{reader.problem}: {reader.detail}" if reader.detail else reader.problem
                return

    def set_aside(self, error: str) -> None:
        """Say what has kept the object from being read to its end."""
        self.problem = Problem.UNREADABLE
        self.error = error.encode(errors="replace").decode()
        log.warning("ingestion.object_set_aside", object=self.name, error=self.error)
