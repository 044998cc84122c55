"""A page as PDF, printed by a Chromium that is installed on this machine."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from experiment_pipeline.errors import ConfigurationError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
FLAGS = ("--headless", "--disable-gpu", "--no-first-run", "--disable-extensions", "--no-pdf-header-footer")
TIMEOUT_SECONDS = 120
OPTION = "--pdf"


def find_browser(named: str | None = None) -> str:
    """Return the path of a browser that prints.

    Args:
        named: path or name of one; None for any that is installed.

    Raises:
        ConfigurationError: there is none.
    """
    found = next(filter(None, map(shutil.which, BROWSERS if named is None else (named,))), None)
    if found is None and named is not None:
        raise ConfigurationError.of("--browser", f"'{named}' is no program on this machine.")
    if found is None:
        instead = "Install Chromium, name a browser with --browser, or print the file that --html makes."
        raise ConfigurationError.of(OPTION, f"Needs Chromium or Chrome, and neither is installed. {instead}")
    return found


def to_pdf(page: str, browser: str) -> bytes:
    """Return a page of HTML as PDF. The browser has a profile of its own, and the page is a file without scripts.

    Raises:
        ConfigurationError: the browser has not made one; says what it said last.
    """
    with TemporaryDirectory(prefix="experiment-pipeline-pdf-") as folder:
        source, target = Path(folder) / "report.html", Path(folder) / "report.pdf"
        source.write_text(page, "utf-8")
        command = [browser, *FLAGS, f"--user-data-dir={folder}/profile", f"--print-to-pdf={target}"]
        command += ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to sandbox what root starts
        try:
            done = subprocess.run(  # noqa: S603 - a browser that the user has, on a file of ours
                [*command, source.as_uri()], capture_output=True, timeout=TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ConfigurationError.of(OPTION, f"{browser} did not print within {TIMEOUT_SECONDS} s.") from None
        except OSError as error:
            raise ConfigurationError.of(OPTION, f"{browser} cannot be started: {error.strerror}.") from None
        if not target.exists():
            said = (done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"])[-1]
            raise ConfigurationError.of(OPTION, f"{browser} made no PDF (exit code {done.returncode}): {said[:300]}")
        return target.read_bytes()
