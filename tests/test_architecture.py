"""The architecture, checked: short asset bodies and files, names that say something, Dagster where it belongs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("experiment_pipeline", "assets", "resources")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAY_IMPORT_DAGSTER = ("experiment_pipeline/definitions.py", "experiment_pipeline/automation/")
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "services", "service", "common", "misc", "base_utils"}
AT_THE_ROOT = {
    "__init__", "__main__", "definitions", "settings", "errors", "logs", "times", "durable_files",
}  # fmt: skip
LONGEST_FILE = 400
LONGEST_ASSET_BODY = 25
LONGEST_DEFINITIONS = 60


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


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
    if path.name == "__init__.py":
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
