"""Dagster's daemon, as `dev` starts it, says nothing more after an interrupt."""

import signal
import subprocess
import sys

PROGRAM = """
import os
import signal
import sys
import time

from experiment_pipeline.resources.dagster_daemon import silence_after_interrupt

nowhere = os.open(os.devnull, os.O_WRONLY)


def end(number, frame):
    until = time.monotonic() + 60
    while time.monotonic() < until and not all(os.path.sameopenfile(each, nowhere) for each in (1, 2)):
        time.sleep(0.005)
    print("a traceback", flush=True)
    print("a traceback", file=sys.stderr, flush=True)
    sys.exit(7)


signal.signal(signal.SIGINT, end)
silence_after_interrupt()
print("a message", flush=True)
time.sleep(300)
"""


def test_daemon__interrupted__says_nothing_more_and_its_own_handler_is_called() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a message\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, output, errors) == (7, "", "")
