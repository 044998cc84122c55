"""docs/notebook.ipynb is run cell by cell over the demo's data, as a reader runs it."""

import ast
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from experiment_pipeline.cli.main import main
from tests.docs.pages import ROOT
from tests.docs.test_links import LINK

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
CELL = {"cell_type", "id", "metadata", "source"}
MEMBERS = {"markdown": CELL, "code": CELL | {"execution_count", "outputs"}}  # of a cell in nbformat 4.5

SHOWN = {  # what a cell shows, by its id
    "list": "one_page_checkout",
    "decision": "ship one_page",
    "results": "winning",
    "columns": "information_fraction",
    "looks": "late_events",
    "breakdowns": "mobile",
    "health": "sample_ratio_mismatch",
    "untrusted": "false",
    "exposures": "suggestions",
    "sample": "every_look",
}


def cells(kind: str | None = None) -> list[dict[str, Any]]:
    """Return the cells of the notebook in order, of one kind or all."""
    found = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return [cell for cell in found if kind in (None, cell["cell_type"])]


def text(cell: dict[str, Any]) -> str:
    """Return what is written in a cell."""
    return "".join(cell["source"])


def test_notebook__the_document__is_of_nbformat_4() -> None:
    document = json.loads(NOTEBOOK.read_text("utf-8"))
    assert set(document) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert document["metadata"]["kernelspec"]["name"] == "python3"
    for cell in cells():
        assert set(cell) == MEMBERS[cell["cell_type"]], cell
        assert all(isinstance(line, str) for line in cell["source"]), cell
    ids = [cell["id"] for cell in cells()]
    assert len(set(ids)) == len(ids) > 0


def test_notebook__outputs__are_not_committed() -> None:
    assert [cell["id"] for cell in cells("code") if cell["outputs"] or cell["execution_count"] is not None] == []


def test_notebook__its_links__lead_to_pages() -> None:
    links = [link for cell in cells("markdown") for link in LINK.findall(text(cell))]
    assert links
    assert [link for link in links if not (NOTEBOOK.parent / link).is_file()] == []


def shown_by_cell(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Run the code cells in order in a fresh namespace, and return what each of them shows, by its id."""
    shown: dict[str, str] = {}
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells("code"):
        body = ast.Interactive(ast.parse(text(cell)).body)
        exec(compile(body, cell["id"], "single"), namespace)  # noqa: S102 - the notebook's own code
        shown[cell["id"]] = capsys.readouterr().out
    return shown


@pytest.mark.slow
def test_notebook__every_cell_in_order__shows_what_its_words_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cells run by `exec` in a fresh namespace, and the value of an expression is printed as Python's prompt does.

    A Jupyter kernel (nbclient with ipykernel) would install many packages for this one test, and the notebook has
    plain Python alone.
    """
    made = CliRunner().invoke(main, ["--data-dir", str(tmp_path / "demo-data"), "demo"])
    assert made.exit_code == 0, made.output
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")  # where Jupyter runs the cells of docs/notebook.ipynb
    with pl.Config(tbl_cols=-1, tbl_width_chars=400):  # puts back what the notebook configures
        shown = shown_by_cell(capsys)
    for cell, words in SHOWN.items():
        assert words in shown[cell], shown[cell]
