"""`experiment-pipeline report`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiment_pipeline.cli import options
from experiment_pipeline.cli.answers import answer
from experiment_pipeline.cli.context import Context, in_phase
from experiment_pipeline.durable_files import replacing
from experiment_pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from experiment_pipeline.pages.view import ExperimentView

LOOKS_SHOWN = 50


class Format(StrEnum):
    """The formats of a report."""

    MD = "md"
    HTML = "html"
    PDF = "pdf"


@click.command()
@click.argument("key")
@click.option("--md", "chosen", flag_value=Format.MD, type=Format, help="Markdown, with pictures inside.")
@click.option("--html", "chosen", flag_value=Format.HTML, type=Format, help="One HTML file that loads nothing.")
@click.option(
    "--pdf", "chosen", flag_value=Format.PDF, type=Format, help="The same on paper; needs Chromium or Chrome."
)
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="By default standard output.")
@click.option("--without-pictures", is_flag=True, help="Leave pictures out of Markdown.")
@click.option("--browser", metavar="PROGRAM", help="The browser that prints a PDF.")
@options.environment_of_key
@options.phase
@options.as_json
@click.pass_obj
def report(
    context: Context,
    key: str,
    *,
    chosen: Format | None,
    output: Path | None,
    without_pictures: bool,
    browser: str | None,
    environment: str | None,
    phase: int | None,
    as_json: bool,
) -> None:
    """Write a report of the experiment KEY: the decision and why, split, metrics, pictures, health findings.

    The format is that of the file's name where none is given, and Markdown without a file.

    \b
    Examples:
      experiment-pipeline report one_page_checkout --md
      experiment-pipeline report one_page_checkout --html --output checkout.html
      experiment-pipeline report one_page_checkout -o checkout.pdf
    """
    wanted = chosen or _format_of(output)
    if output is None and (as_json or wanted is Format.PDF):
        raise ConfigurationError.of("--output", "Must name a file: the report would not be alone on standard output.")
    printer = None
    if wanted is Format.PDF:
        from experiment_pipeline.cli.pdf import find_browser

        printer = find_browser(browser)
    content = _content(_view(context, key, environment, phase), wanted, printer, pictures=not without_pictures)
    if output is None:
        click.echo(content, nl=False)
        return
    _write(output, content)
    told = {"file": str(output), "format": wanted.value, "bytes": len(content)}
    answer(f"Wrote {output} ({len(content):,} bytes).", told, as_json=as_json)


def _format_of(output: Path | None) -> Format:
    """Return the format that a file's name says.

    Raises:
        ConfigurationError: it says none.
    """
    if output is None:
        return Format.MD
    ending = output.suffix.removeprefix(".").lower()
    known = {"htm": Format.HTML, "markdown": Format.MD, **{each.value: each for each in Format}}
    if ending not in known:
        raise ConfigurationError.of("--output", f"'{output.name}' says no format: give --md, --html or --pdf.")
    return known[ending]


def _view(context: Context, key: str, environment: str | None, phase: int | None) -> "ExperimentView":
    from experiment_pipeline.health.thresholds import Thresholds
    from experiment_pipeline.pages.view import experiment_view

    with context.registry() as registry:
        experiment = in_phase(context.find(registry, key, environment), phase)
        computed = registry.computations.get_together(experiment.id, experiment.phase)
        health = registry.health.live(experiment, context.now, Thresholds.of(context.settings))
        looks = registry.looks.list(experiment.id, experiment.phase, limit=LOOKS_SHOWN)
    return experiment_view(experiment, computed, health, looks, floors=context.floors)


def _content(view: "ExperimentView", wanted: Format, printer: str | None, *, pictures: bool) -> bytes:
    if wanted is Format.MD:
        from experiment_pipeline.pages.markdown import Extent, experiment_markdown

        return experiment_markdown(view, Extent(pictures=pictures)).encode()
    from experiment_pipeline.pages.report import report_html

    page = report_html(view)
    if printer is None:
        return page.encode()
    from experiment_pipeline.cli.pdf import to_pdf

    return to_pdf(page, printer)


def _write(output: Path, content: bytes) -> None:
    """Write a file whole, in place of the one that was there."""
    try:
        with replacing(output) as temporary:
            temporary.write_bytes(content)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ConfigurationError.of("--output", f"'{output}' cannot be written: {error.strerror}.") from None
