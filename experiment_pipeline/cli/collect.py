"""`experiment-pipeline collect`."""

import click

from experiment_pipeline.cli.context import Context
from experiment_pipeline.cli.serve import run


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65_535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@click.pass_obj
def collect(context: Context, host: str, port: int, workers: int) -> None:
    """Collect events until SIGTERM or Ctrl-C; what was taken in is published before it ends.

    \b
    Example:
      experiment-pipeline collect --port 8001
    """
    run(context, "collector_from_environment", host, port, workers)
