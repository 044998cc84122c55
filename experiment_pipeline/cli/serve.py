"""`experiment-pipeline serve`."""

import os

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.options import listen_options
from experiment_pipeline.errors import ExperimentPipelineError, RegistryUnavailable
from experiment_pipeline.machine_errors import explained
from experiment_pipeline.settings import PREFIX


@click.command()
@listen_options(8000)
@click.pass_obj
def serve(context: Context, host: str, port: int, workers: int) -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C; open requests are answered first.

    \b
    Example:
      experiment-pipeline serve --port 8000
    """
    scheme = "http" if context.settings.tls_certificate is None else "https"
    run(context, "from_environment", host, port, workers, documentation=f"{scheme}://{host}:{port}/api/v1/docs")


def run(context: Context, factory: str, host: str, port: int, workers: int, **told: str) -> None:
    """Run a server of `api.app` until SIGTERM or Ctrl-C.

    Args:
        context: its settings are the server's.
        factory: the function of `api.app` that makes the application.
        host: the address to listen on.
        port: the port to listen on; 0 for any that is free.
        workers: how many processes serve.
        told: fields of the first line of the log.
    """
    import structlog

    from experiment_pipeline import logs
    from experiment_pipeline.api import server

    os.environ[f"{PREFIX}DATA_DIR"] = str(context.settings.data_dir)  # every server process reads its settings again
    logs.configure_server()
    log = structlog.get_logger(__name__)
    log.info("server.starting", **told)

    def begin(message: str) -> None:
        log.info("registry.beginning", note=message)

    try:  # brings the registry's schema up to date before there are several processes
        with context.registry(create=True, announce=begin):
            pass
    except RegistryUnavailable as away:  # it comes back: meanwhile requests are answered 503
        log.warning("registry.unavailable", reason=str(away))
    except (click.ClickException, ExperimentPipelineError) as refused:
        log.error("server.not_started", reason=str(refused))  # noqa: TRY400 - a refusal: its reason is all there is
        raise SystemExit(1) from None
    except Exception as failed:
        reason = explained(failed)
        if reason is None:
            raise
        log.error("server.not_started", reason=reason)  # noqa: TRY400 - the same
        raise SystemExit(1) from None
    server.run(factory, context.settings, host=host, port=port, workers=workers)
