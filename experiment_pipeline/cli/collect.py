"""`experiment-pipeline collect`."""

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.options import listen_options
from experiment_pipeline.cli.serve import run


@click.command()
@listen_options(8001)
@click.pass_obj
def collect(context: Context, host: str, port: int, workers: int) -> None:
    """Collect events until SIGTERM or Ctrl-C; what was accepted is published before it ends.

    \b
    Example:
      experiment-pipeline collect --port 8001
    """
    run(context, "collector_from_environment", host, port, workers)
