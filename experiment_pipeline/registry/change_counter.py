"""A number that changes with every commit to the registry: while it stands, so does what a server has read."""

import sqlite3
from contextlib import suppress
from urllib.parse import quote

from sqlalchemy import Engine

from experiment_pipeline.registry.engine import sqlite_file


class ChangeCounter:
    """SQLite's `data_version`, read on a connection of its own: microseconds, and nobody waits for it.

    Belongs to one thread. There is none for PostgreSQL, which would have to be asked over the network.
    """

    def __init__(self, engine: Engine) -> None:
        self._file = sqlite_file(engine.url) if engine.dialect.name == "sqlite" else None
        self._connection: sqlite3.Connection | None = None
        self._opened = 0  # each connection counts by itself

    def read(self) -> tuple[int, int] | None:
        """Return what differs after a commit of any other connection, of this process or another; None if unknown.

        Two equal answers say that nothing was committed between them.
        """
        if self._file is None:
            return None
        try:
            if self._connection is None:
                uri = f"file:{quote(str(self._file))}?mode=rw"  # which makes no file
                self._connection = sqlite3.connect(uri, timeout=0, isolation_level=None, uri=True)
                self._opened += 1
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:  # whatever it is, whoever reads the registry itself meets it, and says it
            self.close()
            return None
        return self._opened, version

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
