"""The documents as a site, built by Zensical from zensical.toml into build/site.

    make docs

The pages are the documents and some files of the repository's root. Links to source files, which the site has not,
become their names. The build fails at a link that leads nowhere, and where a page would load anything from outside.
"""

import posixpath
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
CONFIGURATION = ROOT / "zensical.toml"
OUTSIDE_DOCS = {
    "README.md": "project.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/shop/README.md": "shop.md",
}  # the file of the repository: the page of the site
COPIED = {".json", ".ipynb", ".png", ".svg"}
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
ELSEWHERE = re.compile(r"(?:https?:)?//")
LOADED = {
    "script": ("src",), "link": ("href",), "img": ("src", "srcset"), "source": ("src", "srcset"), "iframe": ("src",),
    "video": ("src", "poster"), "audio": ("src",), "embed": ("src",), "object": ("data",), "form": ("action",),
}  # fmt: skip
CSS_ADDRESS = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])\s*(?P<address>(?:https?:)?//[^'\")\s]+)")


def page_of(path: str) -> str | None:
    """Return the site's page of a file of the repository, None where it has none."""
    if path in OUTSIDE_DOCS:
        return OUTSIDE_DOCS[path]
    name = path.removeprefix("docs/")
    return None if name == path else re.sub(r"README\.md$", "index.md", name)


def prepare(pages: Path) -> None:
    """Write the site's pages, and what they show, into an empty folder."""
    for path in sorted((ROOT / "docs").rglob("*")):
        source = path.relative_to(ROOT).as_posix()
        page = page_of(source)
        if page is None or path.suffix not in COPIED | {".md"}:
            continue
        (pages / page).parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in COPIED:
            shutil.copyfile(path, pages / page)
        else:
            (pages / page).write_text(site_links(path.read_text("utf-8"), source), "utf-8")
    for source, page in OUTSIDE_DOCS.items():
        (pages / page).write_text(site_links((ROOT / source).read_text("utf-8"), source), "utf-8")


def site_links(markdown: str, source: str) -> str:
    """Return a file's text with each link to another file as a link within the site, or as its text alone.

    Args:
        source: the file's path from the repository's root.
    """
    here = posixpath.dirname(page_of(source) or "") or "."

    def replaced(link: re.Match[str]) -> str:
        target, hash_sign, anchor = link["target"].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        page = page_of(path)
        return (
            f"[{link['text']}]({posixpath.relpath(page, here)}{hash_sign}{anchor})"
            if page is not None
            else link["text"]
        )

    return LINK.sub(replaced, markdown)


def placed(nav: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the pages that have a place in the navigation."""
    for entry in nav:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from placed(value)


def navigation() -> set[str]:
    """Return the pages of the navigation as it is configured."""
    return set(placed(tomllib.loads(CONFIGURATION.read_text("utf-8"))["project"]["nav"]))


def outside_addresses(site: Path) -> Iterator[tuple[str, str]]:
    """Yield page or style sheet, and address, of whatever a browser would load from another server."""
    for path in sorted(site.rglob("*")):
        if path.suffix == ".html":
            page = _Loads()
            page.feed(path.read_text("utf-8"))
            found = page.addresses
        elif path.suffix == ".css":
            found = _in_styles(path.read_text("utf-8"))
        else:
            continue
        for address in found:
            yield path.relative_to(site).as_posix(), address


class _Loads(HTMLParser):
    """Addresses of other servers that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: Mapping[str, str] = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        for name in LOADED.get(tag, ()):
            self.addresses += [each for each in given.get(name, "").split() if ELSEWHERE.match(each)]
        self.addresses += _in_styles(given.get("style", ""))
        if "mermaid" in given.get("class", "").split():  # the theme would load its drawing program from elsewhere
            self.addresses.append("mermaid")

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.addresses += _in_styles(data)


def _in_styles(text: str) -> list[str]:
    return [each["address"] for each in CSS_ADDRESS.finditer(text)]


def main() -> None:
    pages, site = ROOT / "build" / "pages", ROOT / "build" / "site"
    for folder in (pages, site):
        shutil.rmtree(folder, ignore_errors=True)
    prepare(pages)
    subprocess.run([sys.executable, "-m", "zensical", "build", "--strict", "--clean"], cwd=ROOT, check=True)
    found = [f"{path}: {address}" for path, address in outside_addresses(site)]
    if found:
        sys.exit("The site must load nothing from outside. " + "; ".join(found))
    print(
        f"{sum(1 for _ in site.rglob('*.html'))} pages in {site.relative_to(ROOT)}, none loads anything from outside."
    )


if __name__ == "__main__":
    main()
