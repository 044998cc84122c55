"""The connection of a run: kept over its calls, and ended by Ctrl-C as everything else is."""

import os
import signal
import threading

import duckdb
import pytest

from experiment_pipeline.warehouse.duckdb.connection import KeptConnection

# Many small pieces, as a scan has: DuckDB looks for a signal between them, and a cross product may be one piece.
TAKES_MINUTES = "select sum(hash(range) % 7) from range(100000000000)"


def test_kept_connection__sigint_during_a_statement__is_a_keyboard_interrupt_and_the_next_call_works() -> None:
    kept = KeptConnection(duckdb.connect)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), kept() as connection:
        connection.execute(TAKES_MINUTES)
    with kept() as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    kept.close()
