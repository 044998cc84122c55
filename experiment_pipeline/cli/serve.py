"""`experiment-pipeline serve`."""

import os

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.options import listen_options
from experiment_pipeline.settings import PREFIX

GRACEFUL_SHUTDOWN_SECONDS = 30  # for open requests to end after SIGTERM


@click.command()
@listen_options(8000)
@click.pass_obj
def serve(context: Context, host: str, port: int, workers: int) -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C; open requests are answered first.

    \b
    Example:
      experiment-pipeline serve --port 8000
    """
    import structlog

    from experiment_pipeline import logs

    logs.configure()
    structlog.get_logger(__name__).info("server.starting", documentation=f"http://{host}:{port}/api/v1/docs")
    run(context, "from_environment", host, port, workers)


def run(context: Context, factory: str, host: str, port: int, workers: int) -> None:
    """Run a server of `api.app` until SIGTERM or Ctrl-C.

    Args:
        context: its settings are the server's.
        factory: the function of `api.app` that makes the application.
        host: the address to listen on.
        port: the port to listen on; 0 for any that is free.
        workers: how many processes serve.
    """
    import uvicorn

    from experiment_pipeline import logs

    os.environ[f"{PREFIX}DATA_DIR"] = str(context.settings.data_dir)  # every server process reads its settings again

    with context.registry(create=True):  # refuses a registry that cannot be reached, and brings its schema up to date
        pass
    logs.configure()
    try:
        uvicorn.run(
            f"experiment_pipeline.api.app:{factory}",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
        )
    except SystemExit as stopped:  # uvicorn has logged the reason, e.g. a port in use
        raise SystemExit(1 if stopped.code else 0) from None
