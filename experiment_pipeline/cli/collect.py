"""`experiment-pipeline collect`."""

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.options import listening
from experiment_pipeline.cli.serve import run


@click.command()
@listening(8001)
@click.pass_obj
def collect(context: Context, host: str, port: int, workers: int) -> None:
    """Collect events until SIGTERM or Ctrl-C; what was taken in is published before it ends.

    \b
    Example:
      experiment-pipeline collect --port 8001
    """
    run(context, "collector_from_environment", host, port, workers)
