"""The server's process: uvicorn with our limits, our logs, and one place for the metrics of several workers."""

import uvicorn

from experiment_pipeline import logs
from experiment_pipeline.settings import Settings

SECONDS_TO_END = 10  # that open requests get after SIGTERM; landing what waits comes after it, all within 20 s


def run(factory: str, settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve the application that a function of `api.app` makes, until SIGTERM or Ctrl-C.

    Raises:
        SystemExit: with 1 when it could not be started; the log has the reason.
    """
    logs.configure_server()
    try:
        uvicorn.run(
            f"experiment_pipeline.api.app:{factory}",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_config=None,
            access_log=False,  # RequestLogging writes a line for every answer
            server_header=False,
            timeout_keep_alive=settings.http_keep_alive.total_seconds(),  # type: ignore[arg-type]
            timeout_graceful_shutdown=SECONDS_TO_END,
            forwarded_allow_ips=settings.trusted_proxies,
        )
    except SystemExit as stopped:
        raise SystemExit(1 if stopped.code else 0) from None
