"""Documents name files, folders and words of the code that exist."""

import re

import pytest

from tests.docs.pages import ROOT, documents, texts

PATH = re.compile(r"`((?:assets|deploy|docs|experiment_pipeline|requirements|resources|tests)/[\w./-]+)`")
CODE = re.compile(r"`([^`]+)`")


@pytest.mark.parametrize(("page", "text"), documents().items(), ids=documents())
def test_pages__files_and_folders_named__exist(page: str, text: str) -> None:
    assert [path for path in PATH.findall(text) if not (ROOT / path).exists()] == [], page


def test_contributing__tree__has_every_folder_and_root_module() -> None:
    tree = documents()["CONTRIBUTING.md"]
    package = ROOT / "experiment_pipeline"
    folders = {f"`{folder.name}/`" for folder in (ROOT / "assets", ROOT / "resources")}
    folders |= {
        f"`experiment_pipeline/{folder.name}/`"
        for folder in package.iterdir()
        if (folder / "__init__.py").is_file() and not folder.is_symlink()
    }
    modules = {module.name for module in package.glob("*.py") if not module.name.startswith("__")}
    assert {"`experiment_pipeline/domain/`", "`assets/`"} <= folders
    assert [folder for folder in sorted(folders) if folder not in tree] == []
    assert [module for module in sorted(modules) if not re.search(rf"[`/]{re.escape(module)}`", tree)] == []


def test_glossary__words_in_code__are_words_of_the_code() -> None:
    code = {word for path, text in texts() if not path.endswith(".md") for word in re.findall(r"\w+", text)}
    lines = re.findall(r"^\*In code:\* ((?:.+\n)+)", documents()["docs/glossary.md"], re.MULTILINE)
    named = {word for line in lines for name in CODE.findall(line) for word in re.findall(r"\w+", name)}
    assert {"VariantAggregate", "data_version"} <= named
    assert sorted(named - code) == []
