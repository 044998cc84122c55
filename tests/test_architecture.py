"""The architecture, checked: short asset bodies and files, names that say something, Dagster where it belongs."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("experiment_pipeline", "assets", "resources")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAY_IMPORT_DAGSTER = ("experiment_pipeline/definitions.py", "experiment_pipeline/automation/")
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "services", "service", "common", "misc", "base_utils"}
AT_THE_ROOT = {
    "__init__", "__main__", "definitions", "settings", "setting_types", "errors", "logs", "times", "durable_files",
    "machine_errors",
}  # fmt: skip
TESTED_ELSEWHERE = {  # sources without a test file of their name, and where their tests are
    "experiment_pipeline/__main__.py": "one line; tests/e2e starts processes through it",
    "experiment_pipeline/definitions.py": "tests/assets/test_graph.py and tests/test_code_location.py load it",
    "experiment_pipeline/api/*.py": "middleware and shared parts, tested over HTTP with the endpoints",
    "experiment_pipeline/automation/*.py": "tested through Dagster: sensors, schedules and runs as it calls them",
    "experiment_pipeline/backup/*.py": "tests/backup/test_backup.py makes backups and restores them",
    "experiment_pipeline/client/*.py": "tests/client/test_client.py asks a real server and a data directory",
    "experiment_pipeline/cli/backup.py": "the same, through the command line",
    "experiment_pipeline/cli/collect.py": "tests/e2e/test_collector.py starts it",
    "experiment_pipeline/cli/mapping_report.py": "tests/cli/test_imports.py and test_sources.py read what it prints",
    "experiment_pipeline/cli/metric_preview_report.py": "tests/cli/test_metric_preview.py reads what it prints",
    "experiment_pipeline/erasure/*.py": "stores that tests/erasure/test_erase.py fills, erases from and searches",
    "experiment_pipeline/cli/pdf.py": "tests/cli/test_report.py prints with it",
    "experiment_pipeline/cli/options.py": "the options of commands, tested with the commands",
    "experiment_pipeline/cli/results_report.py": "tests/cli/test_results.py and test_demo.py read what it prints",
    "experiment_pipeline/demo/comparison.py": "tests/cli/test_demo.py compares the demo's results with it",
    "experiment_pipeline/demo/warehouse.py": "tests/warehouse/ibis/test_demo.py has ClickHouse and Spark",
    "experiment_pipeline/demo/shop.py": "parameters: tests/demo/test_truth.py holds draws to what follows from them",
    "experiment_pipeline/domain/analysis.py": "a noun without rules of its own",
    "experiment_pipeline/domain/audience.py": "nouns: tests/warehouse/audience_contract.py holds engines to them",
    "experiment_pipeline/domain/batches.py": "nouns without rules of their own, tested with the ledger",
    "experiment_pipeline/domain/event_timing.py": "a noun, counted in tests/warehouse/contract.py",
    "experiment_pipeline/domain/event_ids.py": "a noun without rules of its own",
    "experiment_pipeline/domain/environments.py": "a noun without rules of its own",
    "experiment_pipeline/warehouse/extra.py": "tests/registry/test_warehouses.py refreshes without it",
    "experiment_pipeline/setting_types.py": "tests/test_settings.py reads settings of every type",
    "experiment_pipeline/warehouse/limits.py": "a noun without rules of its own",
    "experiment_pipeline/domain/planned_looks.py": "nouns: tests/stats/test_planned_looks.py makes them",
    "experiment_pipeline/health/*.py": "what checks are made of, tested with each check",
    "experiment_pipeline/domain/event_files.py": "a noun; tests/lake/test_removing.py has files and their removals",
    "experiment_pipeline/storage/*.py": "tests/lake/test_object_storage.py has landing zone and lake over them",
    "experiment_pipeline/lake/*.py": "tested by ingestion and compaction on real tables",
    "experiment_pipeline/landing/*.py": "parts of the listing, tested with it in test_listing.py",
    "experiment_pipeline/notifications/failures.py": "an error; tests/notifications/test_webhook.py meets it",
    "experiment_pipeline/pages/*.py": "parts of the view, tested with it in test_view.py and by what the CLI prints",
    "experiment_pipeline/registry/*.py": "tables and parts of other stores, tested with those",
    "experiment_pipeline/results/*.py": "parts of results and payloads, tested by test_compute.py and others",
    "experiment_pipeline/schemas/responses.py": "tests/api compare what they show",
    "experiment_pipeline/stats/arrays.py": "a type alone",
    "experiment_pipeline/sources/adbc_rows.py": "tests/sources/test_postgres_rows.py reads through it",
    "experiment_pipeline/stats/not_computable.py": "a noun; tests/stats/test_bad_input.py meets every reason",
    "experiment_pipeline/warehouse/base.py": "a protocol: tests/warehouse/contract.py holds every engine to it",
    "experiment_pipeline/warehouse/duckdb/*.py": "parts of the engine, held to the same contract",
    "experiment_pipeline/warehouse/ibis/*.py": "parts of the analysis in place, tested by test_in_place.py",
    "assets/*.py": "tested as runs: tests/assets/test_refresh.py, test_graph.py, test_health_checks.py",
    "resources/*.py": "tested as runs that use them",
}
DANGLING = re.compile(r"(What|Whom|Whose|Whoever|Of|While|In|So many)\b")  # openings of a docstring, mid-sentence
PUBLIC_NAMES = (  # of the components, loaded when they are asked for; of the client
    ROOT / "experiment_pipeline/__init__.py",
    ROOT / "experiment_pipeline/client/__init__.py",
)
LONGEST_FILE = 400
LONGEST_ASSET_BODY = 25
LONGEST_DEFINITIONS = 60


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def own_test(source: Path) -> Path:
    """The place of a source's own test: the tests are the same tree."""
    package = ROOT / "experiment_pipeline"
    place = source.relative_to(package if source.is_relative_to(package) else ROOT)
    return ROOT / "tests" / place.parent / f"test_{place.name}"


def asset_bodies() -> Iterator[tuple[str, int]]:
    """Every function that an asset decorator stands on, with the lines of its body, its docstring not counted."""
    for path in (ROOT / "assets").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and any("asset" in ast.unparse(d) for d in node.decorator_list):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                last = body[-1].end_lineno
                assert last is not None
                yield f"{relative(path)}:{node.name}", last - body[0].lineno + 1


def imported(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return modules


def test_architecture__asset_bodies__stay_short() -> None:
    bodies = dict(asset_bodies())
    assert bodies
    assert {name: lines for name, lines in bodies.items() if lines > LONGEST_ASSET_BODY} == {}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_architecture__file__is_short_and_named_for_a_noun(path: Path) -> None:
    lines = path.read_text("utf-8").count("\n")
    assert lines <= LONGEST_FILE
    assert path.stem not in SAYS_NOTHING
    if path.name == "__init__.py" and path not in PUBLIC_NAMES:
        assert path.stat().st_size == 0
    if relative(path) == "experiment_pipeline/definitions.py":
        assert lines <= LONGEST_DEFINITIONS


def test_architecture__root__holds_no_other_module() -> None:
    assert {path.stem for path in (ROOT / "experiment_pipeline").glob("*.py")} == AT_THE_ROOT


def test_architecture__dagster__is_imported_by_definitions_and_automation_only() -> None:
    importing = [
        relative(path)
        for path in SOURCES
        if path.is_relative_to(ROOT / "experiment_pipeline")
        and any(module.split(".")[0].startswith("dagster") for module in imported(path))
    ]
    assert [path for path in importing if not path.startswith(MAY_IMPORT_DAGSTER)] == []


def test_architecture__asset_and_resource_modules__evaluate_their_annotations() -> None:
    """Dagster reads context and resource annotations: postponed ones break it."""
    paths = [*(ROOT / "assets").glob("*.py"), *(ROOT / "resources").glob("*.py")]
    assert [relative(path) for path in paths if "__future__" in imported(path)] == []


def test_architecture__runtime_dependencies__are_free_of_pandas_and_pyarrow() -> None:
    locked = re.findall(
        r"^([a-z0-9-]+)(?:\[.*\])?==", (ROOT / "requirements/runtime.txt").read_text("utf-8"), re.MULTILINE
    )
    assert {"polars", "deltalake", "dagster"} <= set(locked)
    assert {"pandas", "pyarrow"}.isdisjoint(locked)


def test_architecture__committed_files__hold_no_index_address() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert locks
    assert [lock.name for lock in locks if "://" in lock.read_text("utf-8")] == []


def test_architecture__sources__have_a_test_file_of_their_name_or_a_reason_to_have_none() -> None:
    untested = [relative(path) for path in SOURCES if path.name != "__init__.py" and not own_test(path).exists()]
    unexplained = [path for path in untested if not any(fnmatch(path, pattern) for pattern in TESTED_ELSEWHERE)]
    assert unexplained == []
    outdated = [pattern for pattern in TESTED_ELSEWHERE if not any(fnmatch(path, pattern) for path in untested)]
    assert outdated == []


def test_docstrings__opening__is_a_verb_or_a_noun_and_whether_only_for_predicates() -> None:
    found = []
    for path in [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                text = ast.get_docstring(node) or ""
                returns = None if isinstance(node, ast.ClassDef) else node.returns
                answers = ast.unparse(returns) if returns else ""
                is_predicate = answers == "bool" or answers.startswith("TypeGuard")
                if DANGLING.match(text) or (text.startswith("Whether ") and not is_predicate):
                    found.append(f"{relative(path)}:{node.lineno} {node.name}: {text.splitlines()[0]}")
    assert found == []
