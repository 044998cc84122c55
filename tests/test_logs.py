"""Logs are JSON, a line each, and hold no local variable."""

import json
import subprocess
import sys

SCRIPT = """
import structlog
from experiment_pipeline import logs
logs.configure()
structlog.contextvars.bind_contextvars(request_id="r-1")
log = structlog.get_logger("test")
log.debug("not shown")
try:
    password = "hunter" + "2"
    raise ValueError("refused")
except ValueError:
    log.exception("request.failed", path="/x\\ny")
"""


def test_configure__an_error_with_a_traceback__is_one_line_of_json_without_local_variables() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    logged = json.loads(line)
    assert (logged["event"], logged["level"], logged["request_id"], logged["path"]) == (
        "request.failed", "error", "r-1", "/x\ny",
    )  # fmt: skip
    assert "ValueError: refused" in logged["exception"]
    assert "hunter2" not in line
    assert logged["timestamp"].endswith("Z")
    assert done.stdout == ""


RECONFIGURED = """
import structlog
from experiment_pipeline import logs
log = structlog.get_logger("test")
logs.configure_for_people()
log.info("first")
logs.configure()
log.info("second")
"""


def test_configure__again_after_the_first_line__changes_what_a_logger_writes() -> None:
    done = subprocess.run([sys.executable, "-c", RECONFIGURED], capture_output=True, text=True, check=True)
    first, second = done.stderr.splitlines()
    assert not first.startswith("{")
    assert json.loads(second)["event"] == "second"
