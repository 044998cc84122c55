"""The results page in a real Chromium: its flows, what it logs, axe-core, light, dark, phone, print, without a script.

Screenshots of every page lie in the test's temporary folder (`pytest --basetemp FOLDER` keeps them elsewhere).
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import Settings
from tests.api.site.installation import ACTOR, MANY, declare, declare_metric, publish_look
from tests.e2e.chromium import AXE, PHONE, Tab, browsing
from tests.e2e.conftest import eventually
from tests.e2e.test_browser import REQUIRED
from tests.e2e.test_server import serving
from tests.pages.published import HOSTILE

pytestmark = pytest.mark.e2e
STARTED = datetime.now(UTC) - timedelta(days=9)
HOME = "/environments/production"


@dataclass
class Site:
    """A server of experiments with results, and a tab of a browser."""

    url: str
    registry: Registry
    tab: Tab
    folder: Path
    tokens: dict[Scope, str]

    def sign_in(self, scope: Scope) -> None:
        self.tab.go(f"{self.url}/sign-in")
        self.tab.fill("#key", self.tokens[scope])
        self.tab.click("form.sign-in button")


def fill(registry: Registry) -> dict[Scope, str]:
    """Experiments of every kind: with looks, not started, with many metrics and arms, of a hostile name."""
    registry.environments.create("production", "production", actor=ACTOR, now=STARTED)
    metrics = tuple(declare_metric(registry, f"metric {number}", STARTED) for number in range(MANY["metrics"]))
    checkout = declare(registry, "checkout", STARTED, metrics=metrics[:3])
    for number in range(1, 9):
        publish_look(registry, checkout, number, STARTED + timedelta(days=number), "error" if number == 8 else "ok")
    declare(registry, "menu", STARTED, start=False)
    wide = declare(registry, "wide", STARTED, metrics=metrics, treatments=MANY["treatments"])
    publish_look(registry, wide, 1, STARTED + timedelta(days=1))
    texts = " ".join(HOSTILE.values()).replace("\x00", "")
    hostile = declare(registry, "hostile", STARTED, metrics=metrics[:1], name=HOSTILE["html"], hypothesis=texts)
    publish_look(registry, hostile, 1, STARTED + timedelta(days=1))
    return {scope: registry.keys.create("production", scope, scope, actor=ACTOR, now=STARTED)[1] for scope in Scope}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The site; a machine without Chromium or axe-core skips the tests, but for CI."""
    found = shutil.which("chromium")
    missing = [] if found else ["no Chromium: `apt-get install chromium`"]
    missing += [] if AXE.is_file() else ["no axe-core: `make browser`"]
    if missing and os.environ.get(REQUIRED):
        pytest.fail("; ".join(missing))
    if missing:
        pytest.skip("; ".join(missing))
    assert found is not None
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    registry = Registry.open(Settings(data_dir=data_dir).database_url)
    tokens = fill(registry)
    with serving(data_dir, "serve", 1) as (server, _), browsing(found, tmp_path / "profile") as tab:
        yield Site(server.url, registry, tab, tmp_path, tokens)
    registry.close()


def test_pages__light_dark_and_phone__break_no_rule_of_accessibility_and_log_no_error(site: Site) -> None:
    tab = site.tab
    tab.go(site.url)
    assert "Sign in" in tab.text()
    assert tab.violations() == []
    tab.screenshot(site.folder / "sign-in.png")
    site.sign_in(Scope.ADMIN)
    pages = {
        "list": f"{HOME}/experiments/",
        "experiment": f"{HOME}/experiments/checkout/",
        "every-look": f"{HOME}/experiments/checkout/?reading=anytime",
        "not-started": f"{HOME}/experiments/menu/",
        "wide": f"{HOME}/experiments/wide/",
        "hostile": f"{HOME}/experiments/hostile/",
        "power": f"{HOME}/power/",
    }
    for name, path in pages.items():
        for look in ("light", "dark", "phone"):
            tab.look_like(dark=look == "dark", size=PHONE if look == "phone" else (1280, 900))
            tab.go(site.url + path)
            assert tab.violations() == [], (name, look)
            assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, look)
            tab.screenshot(site.folder / f"{name}-{look}.png")
    assert tab.errors() == []
    assert len(list(site.folder.glob("*.png"))) == 1 + 3 * len(pages)


def test_page__of_an_experiment__is_started_refreshed_paused_and_completed(site: Site) -> None:
    tab, registry = site.tab, site.registry
    site.sign_in(Scope.ADMIN)
    menu = registry.experiments.find("production", "menu")
    tab.click('a[href$="/menu/"]')
    tab.click('form[action$="/start/"] button')
    assert "The experiment is running." in tab.text()
    tab.click('form[action$="/refresh/"] button')
    assert "A refresh is requested." in tab.text()
    assert tab.evaluate("document.querySelector('[data-seconds]').disabled")
    assert len(registry.claims.list_waiting(menu.id)) == 1
    tab.click('form[action$="/pause/"] button')
    assert registry.experiments.get(menu.id).status is ExperimentStatus.PAUSED
    tab.evaluate("document.querySelector('.actions details').open = true")
    tab.click('form[action$="/complete/"] button')
    assert registry.experiments.get(menu.id).status is ExperimentStatus.COMPLETED
    tab.click(".who button")
    assert "Sign in" in tab.text()
    tab.go(f"{site.url}{HOME}/experiments/menu/")
    assert "API key" in tab.text()
    assert tab.errors() == []


def test_page__that_waits_for_a_refresh__shows_it_once_it_is_published(site: Site) -> None:
    tab = site.tab
    site.sign_in(Scope.REFRESH)
    tab.go(f"{site.url}{HOME}/experiments/checkout/")
    tab.click('form[action$="/refresh/"] button')
    assert "is not computed yet" in tab.text()
    checkout = site.registry.experiments.find("production", "checkout")
    publish_look(site.registry, checkout, 9, datetime.now(UTC))
    eventually(lambda: "look 9; since" in tab.text(), "the page shows the new look")
    assert tab.errors() == []


def test_page__without_a_script__works_the_same(site: Site) -> None:
    tab = site.tab
    tab.look_like(script=False)
    site.sign_in(Scope.REFRESH)
    tab.go(f"{site.url}{HOME}/experiments/checkout/")
    assert "Ship b" in tab.text()
    tab.click('.switch a[href*="reading=anytime"]')
    assert "interval, every look" in tab.text()
    tab.click('form[action$="/refresh/"] button')
    assert "Refresh (possible in" in tab.text()


def test_page__hostile_texts__run_nothing(site: Site) -> None:
    site.sign_in(Scope.READ)
    site.tab.go(f"{site.url}{HOME}/experiments/hostile/")
    assert "<script>alert(1)</script>" in site.tab.text()
    assert site.tab.evaluate("document.querySelectorAll('main script, main img').length") == 0
    assert site.tab.errors() == []


def test_page__printed__is_a_pdf_without_buttons(site: Site) -> None:
    site.sign_in(Scope.ADMIN)
    site.tab.go(f"{site.url}{HOME}/experiments/checkout/")
    site.tab.pdf(site.folder / "checkout.pdf")
    assert (site.folder / "checkout.pdf").read_bytes().startswith(b"%PDF")
    site.tab.ask("Emulation.setEmulatedMedia", media="print")
    hidden = "getComputedStyle(document.querySelector('.actions')).display"
    assert site.tab.evaluate(hidden) == "none"
    assert "Ship b" in site.tab.text()


def test_documentation__of_the_api__is_shown_with_its_forms_and_loads_nothing_that_its_policy_forbids(
    site: Site,
) -> None:
    tab = site.tab
    tab.go(f"{site.url}/api/v1/docs")
    shown = "document.querySelectorAll('.opblock').length"
    eventually(lambda: tab.evaluate(shown) > 10, "the endpoints are shown")
    assert [each for each in tab.errors() if "Content Security Policy" in each or "Refused" in each] == []
    tab.screenshot(site.folder / "documentation.png")
