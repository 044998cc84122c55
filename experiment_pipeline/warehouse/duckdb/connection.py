"""Connections to DuckDB: one for each call, or one for the calls of a run."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeAlias

import duckdb

Connect: TypeAlias = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]


class KeptConnection:
    """One connection for the calls of a run: opening one takes longer than what a small experiment asks.

    A call that fails takes the connection with it, so that the next one does not suffer for it (rule R7).
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._kept = ExitStack()
        self._connection: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def __call__(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield the connection, opened at the first call; an error closes it."""
        if self._connection is None:
            self._connection = self._kept.enter_context(self._connect())
        try:
            yield self._connection
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """The next call opens another."""
        self._connection = None
        self._kept.close()
