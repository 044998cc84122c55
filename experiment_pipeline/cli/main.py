"""The command line: one group, one module per noun, imported when its command runs."""

import importlib
from pathlib import Path
from typing import Any

import click
from typing_extensions import override

from experiment_pipeline.cli.context import Context
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ArtifactMissing, ExperimentPipelineError, LakeError, Throttled
from experiment_pipeline.settings import read_settings

COMMANDS = {  # by name: the function, and the line in the help
    "apply": ("experiment_pipeline.cli.apply:apply", "Declare environments, metrics and experiments from a YAML file."),
    "environments": ("experiment_pipeline.cli.environments:environments", "List and create environments."),
    "experiments": ("experiment_pipeline.cli.experiments:experiments", "List, show, start, pause, complete, delete."),
    "metrics": ("experiment_pipeline.cli.metrics:metrics", "List and delete metrics."),
    "results": ("experiment_pipeline.cli.results:results", "Show an experiment's exposures and results."),
    "lake": ("experiment_pipeline.cli.lake:lake", "Show, fill, compact and vacuum the events lake."),
    "refresh": ("experiment_pipeline.cli.refresh:refresh", "Compute an experiment anew and show its results."),
    "audit": ("experiment_pipeline.cli.audit:audit", "Show who changed what, when, from what to what."),
    "keys": ("experiment_pipeline.cli.keys:keys", "Create, list and revoke API keys."),
    "serve": ("experiment_pipeline.cli.serve:serve", "Serve the HTTP API."),
    "collect": ("experiment_pipeline.cli.collect:collect", "Collect events, without the rest of the API."),
    "dev": ("experiment_pipeline.cli.dev:dev", "Start Dagster and the API over one data directory, until Ctrl-C."),
    "demo": ("experiment_pipeline.cli.demo:demo", "Generate events and analyse five experiments, one of them real."),
}


class Broken(click.ClickException):
    """An error of the installation: one line on standard error, exit code 1."""

    exit_code = 1


class Refused(click.ClickException):
    """An error of the request, which is not possible or not allowed: one line on standard error, exit code 2."""

    exit_code = 2


class LazyGroup(click.Group):
    """A group that imports a command's module when it is needed, and shows deliberate errors as one line."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a fact for the type checker
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ExperimentPipelineError as error:
            shown = Broken if isinstance(error, LakeError | ArtifactMissing) else Refused
            left = f" {error.seconds_left} seconds are left." if isinstance(error, Throttled) else ""
            # The message may quote what somebody else wrote.
            message = "\n".join(printable(line) for line in f"{error}{left}".split("\n"))
            raise shown(message) from error


@click.group(cls=LazyGroup)
@click.version_option(package_name="experiment-pipeline")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Root of landing zone, lake, artifacts and registry, instead of EXPERIMENT_PIPELINE_DATA_DIR.",
)
@click.pass_context
def main(ctx: click.Context, data_dir: Path | None) -> None:
    """Analyse A/B experiments in your warehouse.

    Settings come from environment variables EXPERIMENT_PIPELINE_*. Exit codes: 0 done, 1 something broke, 2 refused.
    """
    from experiment_pipeline import logs

    logs.configure_for_people()
    ctx.obj = Context(settings=read_settings(data_dir))
