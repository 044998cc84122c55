"""Structured logs: one JSON object a line on standard error, with the identifiers of the request or run.

Tracebacks are plain wherever they go: local variables may hold keys and passwords.
"""

import logging
import sys
import threading
import warnings
from types import TracebackType

import structlog
from structlog.typing import Processor

NAMED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
AS_JSON: tuple[Processor, ...] = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())


class StandardError:
    """Writer of one line at a time, to what is standard error at that moment."""

    def msg(self, line: str) -> None:
        """Write one line."""
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    debug = info = warning = error = exception = critical = msg


def configure(level: int = logging.INFO) -> None:
    """Set up structlog for this process: lines of JSON."""
    _configure((*NAMED, *AS_JSON), level)


def configure_for_people(level: int = logging.INFO) -> None:
    """Set up structlog for a command in somebody's terminal."""
    plain = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
        repr_native_str=True,  # a terminal obeys what stands in a text of somebody else's
    )
    _configure((*NAMED, plain), level)


def configure_unless_configured() -> None:
    """Set up structlog for a process that is another program's, Dagster's for one, unless that has done so."""
    if not structlog.is_configured():
        configure()


def configure_server() -> None:
    """Set up structlog and what else writes lines in a server's process: libraries, warnings, uncaught exceptions."""
    configure()
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*NAMED, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *AS_JSON],
        )
    )
    root = logging.getLogger()
    root.handlers = [lines]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default")
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _configure(processors: tuple[Processor, ...], level: int) -> None:
    structlog.configure(
        processors=list(processors),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: StandardError(),
        cache_logger_on_first_use=False,  # a logger of before follows what is configured later
    )


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger(__name__).critical("process.failed", exc_info=(kind, error, trace))


def _uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is not None:
        trace = (found.exc_type, found.exc_value, found.exc_traceback)
        structlog.get_logger(__name__).critical("thread.failed", exc_info=trace)
