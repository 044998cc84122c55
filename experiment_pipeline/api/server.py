"""The server's process: uvicorn with our limits and logs, and one place for the metrics of several workers."""

import multiprocessing
import os
import resource
import signal
import ssl
import threading
from contextlib import AbstractContextManager, nullcontext

import structlog
import uvicorn

from experiment_pipeline import logs
from experiment_pipeline.api.worker_metrics import shared_metrics
from experiment_pipeline.settings import PREFIX, Settings

SECONDS_TO_ANSWER = 8  # that open requests get after SIGTERM
log = structlog.get_logger(__name__)


def run(factory: str, settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve the application that a function of `api.app` makes, until SIGTERM or Ctrl-C.

    Raises:
        SystemExit: with 1 when it could not be started; the log has the reason.
    """
    logs.configure_server()
    _require_certificate(settings)
    _allow_open_files(settings.http_connections)
    metrics: AbstractContextManager[None] = shared_metrics() if workers > 1 else nullcontext()
    try:
        with metrics:
            uvicorn.run(
                f"experiment_pipeline.api.app:{factory}",
                factory=True,
                host=host,
                port=port,
                workers=workers,
                http="experiment_pipeline.api.connections:BoundedProtocol",
                ws="none",
                log_config=None,
                access_log=False,  # RequestLogging writes a line for every answer
                server_header=False,
                timeout_keep_alive=settings.http_keep_alive.total_seconds(),  # type: ignore[arg-type]
                timeout_graceful_shutdown=SECONDS_TO_ANSWER,
                ssl_certfile=settings.tls_certificate,
                ssl_keyfile=settings.tls_key,
                forwarded_allow_ips=settings.trusted_proxies,
            )
    except SystemExit as stopped:  # uvicorn has logged the reason, e.g. a port in use
        raise SystemExit(1 if stopped.code else 0) from None


def _require_certificate(settings: Settings) -> None:
    """End the process with one line where the certificate, or its key, cannot be used."""
    if settings.tls_certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate, settings.tls_key, lambda: "")
    except OSError as unusable:  # ssl.SSLError is one
        names = f"{PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY"
        reason = f"{names} must name a certificate and its private key, in PEM, without a password: {unusable}"
        log.error("server.not_started", reason=reason)  # noqa: TRY400 - a refusal: its reason is all there is
        raise SystemExit(1) from None


def exit_within(seconds: float) -> None:
    """End this process after these seconds even if a thread still waits for a disk or a database.

    What is durable by then is published by the next process; nothing else was acknowledged.
    """

    def end() -> None:
        log.error("server.ended_at_once", seconds=seconds)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def end_with_master() -> None:
    """Stop this worker as SIGTERM does once the process that started it is gone: a killed one cannot stop its workers.

    They would keep its port and go on with settings that nobody sees. Nothing happens in a process that serves alone.
    """
    master = multiprocessing.parent_process()
    if master is None:
        return

    def end() -> None:
        master.join()
        log.error("server.master_gone", master=master.pid)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end, name="master", daemon=True).start()


def _allow_open_files(connections: int) -> None:
    """Raise the soft limit of open files, often 1,024, towards what the connections and open segments need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 4 * connections
    if soft != resource.RLIM_INFINITY and soft < needed:
        possible = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        if possible < connections + connections // 4:
            log.warning("server.few_open_files", limit=possible, connections=connections)
