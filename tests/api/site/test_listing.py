"""The page of an environment's experiments: state, verdict, health and days; search, filters and pages."""

from datetime import timedelta

import pytest

from experiment_pipeline.errors import RegistryUnreachable
from tests.api.conftest import NOW, Api
from tests.api.site.browsing import Browser, signed_in
from tests.api.site.installation import declare, declare_metric, publish_look
from tests.pages.published import HOSTILE

LIST = "/environments/production/experiments/"
ONE_LINE = {name: "".join(text.split("\n"))[:255].replace("\x00", "") for name, text in HOSTILE.items()}


def test_list__of_nothing__says_how_to_declare_an_experiment(api: Api) -> None:
    with signed_in(api) as browser:
        shown = browser.get("/")
    assert shown.status == 200
    assert "This environment has no experiment yet." in shown.text
    assert "experiment-pipeline apply" in shown.text


def test_list__has_state_health_verdict_and_days(api: Api) -> None:
    metric = declare_metric(api.registry, "purchases", NOW)
    running = declare(api.registry, "checkout", NOW, metrics=(metric,))
    declare(api.registry, "menu", NOW, start=False)
    api.clock.pass_by(timedelta(days=3, hours=5))
    publish_look(api.registry, running, 1, api.clock.now)
    with signed_in(api) as browser:
        shown = browser.get(LIST)
    first, second = shown.html.split("<tbody>")[1].split("</tbody>")[0].split("</tr>")[:2]
    assert "Experiment menu" in first
    assert ">created<" in first
    assert "none yet" in first
    for words in ("Experiment checkout", "running", ">3<", "ship b", "purchases", "winning", "1 warning"):
        assert words in second, words
    assert "1 to 2 of 2, newest first" in shown.text


def test_list__searched_and_filtered__keeps_both_in_its_form(api: Api) -> None:
    for key in ("checkout", "menu", "mail"):
        declare(api.registry, key, NOW, start=key != "mail")
    with signed_in(api) as browser:
        found = browser.get(f"{LIST}?q=m&status=created")
        assert "Experiment mail" in found.html
        assert "Experiment menu" not in found.html
        assert 'value="created" checked' in found.html
        assert 'name="q" type="search" value="m"' in found.html
        nothing = browser.get(f"{LIST}?q=%3Cscript%3E")
    assert "No experiment has all of this." in nothing.text
    assert 'value="&lt;script&gt;"' in nothing.html


def test_list__of_many__has_pages_that_keep_the_search(api: Api) -> None:
    for number in range(5):
        declare(api.registry, f"test{number}", NOW, start=False)
    with signed_in(api) as browser:
        shown = browser.get(f"{LIST}?q=test&page_size=2&page=2")
        assert "3 to 4 of 5" in shown.text
        assert 'href="?q=test&amp;page_size=2&amp;page=1" rel="prev"' in shown.html
        assert "Experiment test0" in browser.get(f"{LIST}?q=test&page_size=2&page=3").html
        assert "There is no such page" in browser.get(f"{LIST}?page=9").text


@pytest.mark.parametrize(("query", "field"), [("page=0", "page"), ("status=done", "status"), ("page=x", "page")])
def test_list__of_a_wrong_query__is_a_page_that_names_the_field(api: Api, query: str, field: str) -> None:
    with signed_in(api) as browser:
        shown = browser.get(f"{LIST}?{query}")
    assert shown.status == 400
    assert f"{field}: " in shown.text


def test_list__of_another_environment__reads_the_same_whether_it_exists_or_not(api: Api) -> None:
    with signed_in(api, "other") as browser:
        answers = [browser.get(f"/environments/{name}/experiments/") for name in ("production", "nowhere")]
    assert [each.status for each in answers] == [404, 404]
    assert answers[0].text.replace("production", "nowhere") == answers[1].text
    assert "You are signed in to the environment staging" in answers[0].text


def test_list__without_a_key__leads_to_the_form_with_the_way_back(api: Api) -> None:
    asked = api.client.get(f"{LIST}?q=a", follow_redirects=False)
    assert asked.status_code == 303
    shown = Browser(api).get(f"{LIST}?q=a")
    assert "Sign in" in shown.text
    signed = Browser(api).sign_in(api.tokens["read"], shown.field("back"))
    assert signed.headers["location"] == f"{LIST}?q=a"


@pytest.mark.parametrize("kind", ONE_LINE)
def test_list__hostile_names__are_shown_as_they_are(api: Api, kind: str) -> None:
    name = ONE_LINE[kind]
    metric = declare_metric(api.registry, name, NOW)
    experiment = declare(api.registry, "checkout", NOW, metrics=(metric,), name=name, feature=name)
    publish_look(api.registry, experiment, 1, NOW + timedelta(hours=1))
    with signed_in(api) as browser:
        shown = browser.get(LIST)  # `checked` refuses any element that is not the page's
    assert shown.status == 200
    assert "<script>alert" not in shown.html
    assert "<img" not in shown.html
    assert "\u202e" not in shown.html


def test_list__of_200_experiments__stays_under_300_kilobytes(api: Api) -> None:
    metric = declare_metric(api.registry, "purchases", NOW)
    for number in range(200):
        experiment = declare(api.registry, f"test{number}", NOW, metrics=(metric,))
        if number % 20 == 0:
            publish_look(api.registry, experiment, 1, NOW + timedelta(hours=1))
    with signed_in(api) as browser:
        shown = browser.get(f"{LIST}?page_size=200")
    assert shown.html.count('<th scope="row">') == 200
    assert len(shown.response.content) < 300_000


def test_registry_that_is_away__is_told_on_a_page(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise RegistryUnreachable("connection to db.internal refused")

    with signed_in(api) as browser:
        monkeypatch.setattr(type(api.registry.experiments), "list", unreachable)
        shown = browser.get(LIST)
        assert (shown.status, shown.response.headers["retry-after"]) == (503, "5")
        assert "The registry's database cannot be reached. Try again later." in shown.text
        assert "db.internal" not in shown.html
        monkeypatch.setattr(type(api.registry.keys), "authenticate", unreachable)
        assert browser.get(LIST).status == 503
