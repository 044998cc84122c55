"""The report of an experiment as one HTML file: styles and pictures inside, no script, one page when it is printed."""

import base64
import hashlib
from collections.abc import Iterator

from markupsafe import Markup

from experiment_pipeline.pages.html import FOLDER, inline, render
from experiment_pipeline.pages.pictures import (
    exposures_picture,
    forest_picture,
    looks_picture,
    planned_looks_picture,
)
from experiment_pipeline.pages.split import split_lines
from experiment_pipeline.pages.svg import Ground
from experiment_pipeline.pages.view import ExperimentView


def report_html(view: ExperimentView) -> str:
    """Return the report of an experiment; it loads nothing, and a browser runs nothing in it.

    Every text of somebody else is escaped. On paper the details are left out that a reader opens on a screen.
    """
    style = (FOLDER / "templates" / "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return render(
        "report.html",
        view=view,
        results=view.results,
        split_lines=[] if view.results is None else list(split_lines(view.results.split)),
        pictures=[inline(each) for each in _pictures(view)],
        style=Markup(style),  # noqa: S704 - it is a file of this package
        style_hash=Markup(digest),  # noqa: S704 - base64
    )


def _pictures(view: ExperimentView) -> Iterator[str]:
    results = view.results
    if results is None:
        return
    if results.metrics:
        yield forest_picture(results.metrics, results.interval, ground=Ground.PAGE)
    if view.primary is not None and view.looks:
        yield looks_picture(view.looks, view.primary, Ground.PAGE)
    if results.planned_looks:
        yield planned_looks_picture(results.planned_looks, Ground.PAGE)
    if results.exposures is not None:
        yield exposures_picture(results.exposures, Ground.PAGE)
