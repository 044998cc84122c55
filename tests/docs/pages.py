"""The repository's own text, for tests that compare documents with code."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("assets", "deploy", "docs", "experiment_pipeline", "resources", "tests")
INSTALLED = "node_modules"  # by `make browser`: other people's text
SUFFIXES = {".ambr", ".ipynb", ".md", ".py", ".sql", ".toml", ".yaml"}


def texts() -> Iterator[tuple[str, str]]:
    """Yield path from the root and content of every source and document that people write."""
    paths = [*ROOT.glob("*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    for path in sorted(paths):
        if path.suffix in SUFFIXES and INSTALLED not in path.parts and path.is_file():
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def documents() -> dict[str, str]:
    """Return every Markdown page by its path from the root."""
    return {path: text for path, text in texts() if path.endswith(".md")}
