"""`warehouse init` and what is refused without an engine; tests/warehouse/ibis/test_command.py has one."""

import re
from importlib.util import find_spec

import pytest

from experiment_pipeline.warehouse.ibis.statements import ENGINES
from tests.cli.conftest import Run

VARIABLE = "SHOP_DATABASE_URL"


@pytest.mark.parametrize("engine", ENGINES)
def test_init__of_an_engine__prints_its_table_or_the_least_rights(run: Run, engine: str) -> None:
    assert "create table if not exists events" in run("warehouse", "init", engine).stdout
    rights = run("warehouse", "init", engine, "--grants").stdout
    assert re.search(r"^grant (select|`roles/bigquery.dataViewer`) on (table )?events to ", rights, re.MULTILINE)
    granted = [line for line in rights.splitlines() if not line.startswith("--")]
    assert not any("insert" in line for line in granted), "what storing first exposures needs stands in a comment"


def test_results__without_the_variable__name_it(declared: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    ran = declared("warehouse", "results", "checkout", "--url-env", VARIABLE)
    assert ran.exit_code == 2
    assert (VARIABLE if find_spec("ibis") else "experiment-pipeline[warehouse]") in ran.output
