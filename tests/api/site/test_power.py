"""The page that plans a sample: the API's plan as a table, and what is wrong with a form beside its field."""

import pytest

from tests.api.conftest import NOW, Api
from tests.api.site.browsing import signed_in
from tests.api.site.installation import declare_metric
from tests.api.test_power import measured
from tests.pages.published import HOSTILE

PATH = "/environments/production/power/"


def test_power__of_a_measured_metric__is_the_plan_of_the_api(api: Api) -> None:
    api.metric()
    measured(api)
    plan = api.post("/power/", {"metric": "revenue", "mde": 0.1, "variants": 3}).json()
    with signed_in(api) as browser:
        shown = browser.get(PATH, params={"metric": "revenue", "mde": "10", "variants": "3"})
        every = browser.get(PATH, params={"metric": "revenue", "mde": "", "alpha": "", "power": ""})
    assert shown.status == 200
    sample = plan["readings"][0]["every_look"]
    assert f"{sample['identities']:,}" in shown.text
    assert f"{sample['days']:,.1f}" in shown.text
    assert "Identities for 10 %" in shown.text
    assert "Measured by a preview over everybody" in shown.text
    assert "alpha 0.05, power 0.8, traffic: 1,000 new identities a day" in shown.text
    assert every.html.count("<td>every look</td>") == 4
    assert "Identities for" not in every.text
    assert "alpha 0.05, power 0.8" in every.text


def test_power__before_anything_is_asked__is_a_form_with_the_metrics(api: Api) -> None:
    with signed_in(api) as browser:
        assert "This environment has no metric yet." in browser.get(PATH).text
        api.metric()
        shown = browser.get(PATH)
    assert '<option value="revenue">' in shown.html
    assert "Detects in" not in shown.text


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("mde", "700", "Must be a share above 0 and below 5"),
        ("mde", "much", "Must be a number."),
        ("mde", "nan", "Must be"),
        ("traffic", "-1", "Must lie between 0.001 and 1e12."),
        ("variants", "2.5", "Must be a whole number."),
        ("variants", "inf", "Must be a whole number."),
        ("variants", "99", "Must lie between 2 and 20."),
        ("power", "4", "Must be greater than alpha."),
        ("alpha", "0", "Must lie between 0 and 0.5."),
    ],
)
def test_power__of_a_wrong_field__says_beside_it_what_is_allowed(api: Api, field: str, value: str, told: str) -> None:
    api.metric()
    measured(api)
    with signed_in(api) as browser:
        shown = browser.get(PATH, params={"metric": "revenue", field: value})
    assert shown.status == 400
    wrong = shown.html.split(f'id="{field}-wrong">')[1].split("</span>")[0]
    assert told in wrong
    assert f'value="{value}"' in shown.html


def test_power__of_nothing_measured_or_no_such_metric__says_what_to_do(api: Api) -> None:
    api.metric()
    with signed_in(api) as browser:
        unmeasured = browser.get(PATH, params={"metric": "revenue"})
        unknown = browser.get(PATH, params={"metric": "revenu"})
    assert (unmeasured.status, unknown.status) == (409, 404)
    assert "experiment-pipeline metrics preview revenue" in unmeasured.text
    assert "No metric 'revenu'" in unknown.text


@pytest.mark.parametrize("kind", HOSTILE)
def test_power__hostile_names__are_shown_as_they_are(api: Api, kind: str) -> None:
    name = "".join(HOSTILE[kind].replace("\x00", "").split("\n"))[:255]
    declare_metric(api.registry, name, NOW)
    with signed_in(api) as browser:
        for asked in (name, HOSTILE[kind]):
            shown = browser.get(PATH, params={"metric": asked})  # `checked` refuses any element that is not the page's
            assert shown.status in (400, 404, 409)
            assert "<script>alert" not in shown.html


def test_power__of_another_environment__is_not_there(api: Api) -> None:
    with signed_in(api, "other") as browser:
        assert browser.get(PATH).status == 404
