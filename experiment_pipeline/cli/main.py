"""The command line: one group, one module per noun, imported when its command runs."""

import importlib
from pathlib import Path
from typing import IO, Any

import click
from typing_extensions import override

from experiment_pipeline.cli.context import Context
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import (
    ArtifactMissing,
    BackupError,
    ErasureIncomplete,
    ExperimentPipelineError,
    InvalidTransition,
    LakeError,
    RegistryUnavailable,
    SourceUnreachable,
    TargetUnreachable,
    Throttled,
    is_interrupt,
)
from experiment_pipeline.machine_errors import explained, too_few_open_files
from experiment_pipeline.settings import PREFIX, read_settings

COMMANDS = {  # by name: the function, and the line in the help
    "apply": (
        "experiment_pipeline.cli.apply:apply",
        "Declare environments, sources, metrics and so on from a YAML file.",
    ),
    "environments": ("experiment_pipeline.cli.environments:environments", "List and create environments."),
    "experiments": (
        "experiment_pipeline.cli.experiments:experiments",
        "List, show, discover, start, pause, complete, delete.",
    ),
    "metrics": ("experiment_pipeline.cli.metrics:metrics", "List, show, preview, upgrade and delete metrics."),
    "sources": ("experiment_pipeline.cli.sources:sources", "List, check and read the sources of a manifest."),
    "import": ("experiment_pipeline.cli.imports:import_file", "Import a file of exposures or events, and ingest it."),
    "results": ("experiment_pipeline.cli.results:results", "Show an experiment's exposures and results."),
    "power": ("experiment_pipeline.cli.power:power", "Show how many identities and days an experiment needs."),
    "report": ("experiment_pipeline.cli.report:report", "Write a report as Markdown, HTML or PDF."),
    "health": ("experiment_pipeline.cli.health:health", "Show what health checks found, and what to do."),
    "notifications": (
        "experiment_pipeline.cli.notifications:notifications",
        "List, test, send notifications, and send them again.",
    ),
    "looks": ("experiment_pipeline.cli.looks:looks", "List published results, and what moved between them."),
    "replay": (
        "experiment_pipeline.cli.replay:replay",
        "Compute published results again, and compare to the last bit.",
    ),
    "lake": ("experiment_pipeline.cli.lake:lake", "Show, fill, compact and vacuum the events lake."),
    "tables": (
        "experiment_pipeline.cli.look_tables:tables",
        "Show and write the Delta tables of all looks, for analysts.",
    ),
    "warehouse": ("experiment_pipeline.cli.warehouse:warehouse", "Compute results where events lie, and show the SQL."),
    "refresh": ("experiment_pipeline.cli.refresh:refresh", "Compute an experiment anew and show its results."),
    "registry": (
        "experiment_pipeline.cli.registry:registry",
        "Copy the registry to another database, or bind it to its lake.",
    ),
    "erase": ("experiment_pipeline.cli.erase:erase", "Erase a person's records from every store, and prove it."),
    "backup": (
        "experiment_pipeline.cli.backup:backup",
        "Copy the whole installation to a folder, while it runs or not.",
    ),
    "restore": ("experiment_pipeline.cli.backup:restore", "Restore such a copy to an empty data directory."),
    "doctor": ("experiment_pipeline.cli.doctor:doctor", "Check the installation, and say what to do."),
    "audit": ("experiment_pipeline.cli.audit:audit", "Show who changed what, when, from what to what."),
    "keys": ("experiment_pipeline.cli.keys:keys", "Create, list, rotate and revoke API keys."),
    "schema": ("experiment_pipeline.cli.schema:schema", "Print the JSON Schema of manifests, and of notifications."),
    "serve": ("experiment_pipeline.cli.serve:serve", "Serve the HTTP API."),
    "collect": ("experiment_pipeline.cli.collect:collect", "Collect events, without the rest of the API."),
    "dev": ("experiment_pipeline.cli.dev:dev", "Start Dagster and the API over one data directory, until Ctrl-C."),
    "demo": ("experiment_pipeline.cli.demo:demo", "Generate events and analyse five experiments, one of them real."),
}

UNTIL_STOPPED = {"serve", "collect", "dev"}  # Ctrl-C is their normal end


class Broken(click.ClickException):
    """An error of the installation: one line on standard error, exit code 1."""

    exit_code = 1


class Refused(click.ClickException):
    """An error of the request, which is not possible or not allowed: one line on standard error, exit code 2."""

    exit_code = 2


class Interrupted(click.ClickException):
    """Ctrl-C: one line on standard error, exit code 130."""

    exit_code = 130

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, err=True)


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
        _accept_global_options(command)
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand:  # click's own suggestion knows only commands that are imported
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx) from None

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            raise _end_of(ctx) from None
        except ExperimentPipelineError as error:
            broken = (
                LakeError
                | ArtifactMissing
                | BackupError
                | ErasureIncomplete
                | RegistryUnavailable
                | SourceUnreachable
                | TargetUnreachable
            )
            shown = Broken if isinstance(error, broken) else Refused
            # The message may quote what somebody else wrote.
            told = error.advice if isinstance(error, InvalidTransition) else f"{error}{_remedy(error)}"
            message = "\n".join(printable(line) for line in told.split("\n"))
            raise shown(message) from error
        except BaseException as error:  # a panic of a library is no Exception
            if is_interrupt(error):
                raise _end_of(ctx) from None
            reason = explained(error)
            if reason is None:
                raise
            raise Broken(printable(reason)) from error


def _end_of(ctx: click.Context) -> Exception:
    """Return what ends a command after Ctrl-C."""
    if ctx.invoked_subcommand in UNTIL_STOPPED:
        return click.exceptions.Exit(0)
    return Interrupted("Interrupted. Nothing is half done: the same command goes on from here.")


def _remedy(error: ExperimentPipelineError) -> str:
    """Return what the command line adds to an error: what else can be done here."""
    if isinstance(error, Throttled):
        return (
            f" {error.seconds_left} seconds are left ({PREFIX}REFRESH_MIN_INTERVAL sets the interval); "
            "`refresh --force` does not wait."
        )
    return ""


def _use_data_dir(ctx: click.Context, _: click.Parameter, data_dir: Path | None) -> None:
    """Use the data directory that is named after the command, in place of one that is named before it."""
    if data_dir is not None and not ctx.resilient_parsing:
        ctx.obj = Context(settings=read_settings(data_dir))


DATA_DIR: dict[str, Any] = {
    "type": click.Path(file_okay=False, path_type=Path),
    "help": f"Root of landing zone, lake, artifacts and registry, instead of {PREFIX}DATA_DIR.",
}
version_option = click.version_option(package_name="experiment-pipeline")


def _accept_global_options(command: click.Command) -> None:
    """Let a command, and every command below it, take the global options after its name as well."""
    if not any(parameter.name == "data_dir" for parameter in command.params):
        click.option("--data-dir", **DATA_DIR, expose_value=False, callback=_use_data_dir)(command)
        version_option(command)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _accept_global_options(below)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@version_option
@click.option("--data-dir", **DATA_DIR)
@click.pass_context
def main(ctx: click.Context, data_dir: Path | None) -> None:
    """Analyse A/B experiments in your warehouse.

    Settings come from environment variables EXPERIMENT_PIPELINE_*. Exit codes: 0 done, 1 something broke, 2 refused or
    mistyped, 130 interrupted. Options of this page may stand before the command or after it.
    """
    from experiment_pipeline import logs

    logs.configure_for_people()
    if too_few := too_few_open_files():
        raise Broken(too_few)
    ctx.obj = Context(settings=read_settings(data_dir))
