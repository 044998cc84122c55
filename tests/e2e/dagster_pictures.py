"""Pictures of the example's asset in Dagster's pages, for docs/dagster.md.

Build the example first, as examples/shop/README.md says, and start `dagster-webserver -m shop.definitions` there. Then:

    python -m tests.e2e.dagster_pictures http://127.0.0.1:3000
"""

import argparse
import base64
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.e2e.chromium import Tab, browsing
from tests.e2e.conftest import eventually

PICTURES = Path(__file__).parents[2] / "docs" / "images"
SIZE = (1280, 640)
PAGES = {  # by picture: the page, and texts that it shows once it is complete
    "dagster-lineage.png": (
        "/assets/experiment_results?view=lineage&lineageScope=upstream&lineageDepth=2",
        ("raw_orders", "fct_exposures", "25 / 25 Passed"),
    ),
    "dagster-checks.png": (
        "/assets/experiment_results?view=checks&checkDetail=split_as_configured",
        ("Split as configured.", "free_delivery"),
    ),
    "dagster-results.png": (
        "/assets/experiment_results?view=partitions&partition=free_delivery",
        ("ship free", "data_version"),
    ),
}
IS_CLOSED = """
(() => {
    const skip = [...document.querySelectorAll("button")].find((each) => each.innerText === "Skip");
    if (skip) skip.click();
    return !skip && !document.body.innerText.includes("Loading");
})()
"""


def take(tab: Tab, url: str, folder: Path) -> None:
    """Write a picture of each page once it is complete, without the dialog that greets a new visitor."""
    tab.look_like(size=SIZE)
    for name, (page, texts) in PAGES.items():
        tab.go(url + page)
        eventually(partial(_is_complete, tab, texts), f"{page} shows {texts}")
        tab.evaluate("new Promise((done) => setTimeout(done, 2000))")  # the dialog fades
        picture = tab.ask("Page.captureScreenshot", format="png")
        (folder / name).write_bytes(base64.b64decode(picture["data"]))


def _is_complete(tab: Tab, texts: tuple[str, ...]) -> bool:
    shown = tab.text()
    return all(each in shown for each in texts) and bool(tab.evaluate(IS_CLOSED))


def main() -> None:
    """Take the pictures of a webserver that runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of the webserver, such as http://127.0.0.1:3000")
    url = parser.parse_args().url.rstrip("/")
    chromium = shutil.which("chromium") or sys.exit("There is no Chromium: `apt-get install chromium`.")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, browsing(chromium, Path(profile)) as tab:
        take(tab, url, PICTURES)


if __name__ == "__main__":
    main()
