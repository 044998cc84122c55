"""`experiment-pipeline report`: Markdown, HTML and PDF, to a file or to standard output."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from experiment_pipeline.cli.pdf import to_pdf
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.pages.report import report_html
from tests.cli.conftest import Run
from tests.pages.published import subject, view_of

REQUIRED = "EXPERIMENT_PIPELINE_TEST_BROWSER"  # set where the test may not be skipped


def test_report__without_a_format__is_markdown_on_standard_output(declared: Run) -> None:
    shown = declared("report", "checkout")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("# Checkout\n\n`checkout` in `production`, running\n\n*A larger button sells more.*")
    assert "**Nothing has been computed yet: run a refresh.**" in shown.stdout
    assert declared("report", "checkout", "--html").stdout.lstrip().startswith("<!doctype html>")


@pytest.mark.parametrize(("name", "begins"), [("a.html", b"<!doctype"), ("a.HTM", b"<!doctype"), ("a.md", b"# Check")])
def test_report__to_a_file__has_the_format_of_its_name(declared: Run, tmp_path: Path, name: str, begins: bytes) -> None:
    told = declared("report", "checkout", "-o", tmp_path / name)
    assert told.exit_code == 0
    content = (tmp_path / name).read_bytes()
    assert content.lstrip().startswith(begins)
    assert told.stdout == f"Wrote {tmp_path / name} ({len(content):,} bytes).\n"
    again = declared("report", "checkout", "-o", tmp_path / name, "--json")
    assert json.loads(again.stdout)["bytes"] == len(content)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "report.docx"], "--output: 'report.docx' says no format: give --md, --html or --pdf."),
        (["--pdf"], "--output: Must name a file"),
        (["--md", "--json"], "--output: Must name a file"),
        (["--pdf", "-o", "a.pdf", "--browser", "no-such-browser"], "'no-such-browser' is no program on this machine."),
        (["--phase", "2"], "'checkout' has no phase 2"),
    ],
)
def test_report__that_cannot_be_made__is_refused_in_one_line(declared: Run, arguments: list[str], says: str) -> None:
    refused = declared("report", "checkout", *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert says in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_report__without_any_browser__says_what_to_do(declared: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    refused = declared("report", "checkout", "-o", "a.pdf")
    assert refused.exit_code == 2
    assert "--pdf: Needs Chromium or Chrome, and neither is installed." in refused.stderr


def test_pdf__browser_that_prints_nothing__is_told_with_its_exit_code() -> None:
    silent = shutil.which("false")
    assert silent is not None
    with pytest.raises(ConfigurationError, match=r"made no PDF \(exit code 1\): nothing"):
        to_pdf("<p>x</p>", silent)


@pytest.mark.slow
def test_pdf__of_an_experiment__is_one_page() -> None:
    browser = shutil.which("chromium")
    if browser is None:
        assert not os.environ.get(REQUIRED), "no Chromium"
        pytest.skip("no Chromium: `apt-get install chromium`")
    content = to_pdf(report_html(view_of(subject(metrics=6, treatments=2))), browser)
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", content)) == 1
