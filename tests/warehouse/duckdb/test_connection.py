"""The connection of a run: kept over its calls, and ended by Ctrl-C as everything else is."""

import os
import signal
import threading
from collections.abc import Iterator

import duckdb
import pytest

from experiment_pipeline.warehouse.duckdb.connection import KeptConnection

# In one thread and many small pieces, as DuckDB looks for a signal between them: after one it waits for the pieces that
# its other threads have begun, each of which may be the whole of a statement.
TAKES_MINUTES = "select sum(hash(range) % 7) from range(100000000000)"


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C is a KeyboardInterrupt, also where a shell has started the tests in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_kept_connection__sigint_during_a_statement__is_a_keyboard_interrupt_and_the_next_call_works() -> None:
    kept = KeptConnection(lambda: duckdb.connect(config={"threads": 1}))
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), kept() as connection:
        connection.execute(TAKES_MINUTES)
    with kept() as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    kept.close()
