"""Dagster's daemon as `dev` starts it: `python -m experiment_pipeline.resources.dagster_daemon run ...`.

After an interrupt it says nothing more. Its sensors may be in the middle of a tick while their workspace is closed, and
each would print a traceback of that: of an end that somebody wanted.
"""

import os
import signal
import threading

from dagster._daemon.cli import main


def silence_after_interrupt() -> None:
    """Print nothing more once SIGINT has come, whatever handler for it is set; call it in the main thread."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_silence_after_interrupt, args=(reading,), daemon=True).start()


def _silence_after_interrupt(numbers: int) -> None:
    while os.read(numbers, 1) != bytes([signal.SIGINT]):
        pass
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


if __name__ == "__main__":
    silence_after_interrupt()
    main()
