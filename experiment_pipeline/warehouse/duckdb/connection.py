"""Connections to DuckDB: one for each call, or one for the calls of a run."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeAlias

import duckdb

from experiment_pipeline.errors import is_interrupt

Connect: TypeAlias = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]


class KeptConnection:
    """One connection for all calls of a run: opening one takes longer than the queries of a small experiment.

    A call that fails closes it, so that the next one begins with a new connection (rule R7).
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._kept = ExitStack()
        self._connection: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def __call__(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield the connection, opened at the first call; an error closes it.

        Raises:
            KeyboardInterrupt: SIGINT came while a statement ran. DuckDB alone would tell it as an error of the query.
        """
        if self._connection is None:
            self._connection = self._kept.enter_context(self._connect())
        try:
            yield self._connection
        except BaseException as error:
            self.close()
            if is_interrupt(error):
                raise KeyboardInterrupt from None
            raise

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._connection = None
        self._kept.close()
