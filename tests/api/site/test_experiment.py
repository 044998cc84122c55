"""The page of one experiment: decision, metrics in every reading, looks, split, health, provenance; and its actions."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from experiment_pipeline.api.site.sessions import form_token_of
from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.health.freshness import CHECK, judge_freshness
from experiment_pipeline.registry.tables import computations, results_sql
from tests.api.conftest import NOW, Api
from tests.api.site.browsing import checked, signed_in
from tests.api.site.installation import ACTOR, HOUR, MANY, SQL, declare, declare_metric, publish_look
from tests.pages.published import HOSTILE

PATH = "/environments/production/experiments/checkout/"
ACTIONS = {"refresh": "refresh", "start": "admin", "pause": "admin", "complete": "admin"}


def checkout(api: Api, looks: int = 3, metrics: int = 2, treatments: int = 1) -> Experiment:
    """A running experiment with looks, one a day."""
    attached = tuple(declare_metric(api.registry, f"metric {number}", NOW) for number in range(metrics))
    made = declare(api.registry, "checkout", NOW, metrics=attached, treatments=treatments)
    for number in range(1, looks + 1):
        api.clock.pass_by(timedelta(days=1))
        publish_look(api.registry, made, number, api.clock.now)
    return made


def test_page__before_any_results__says_what_happens_next(api: Api) -> None:
    declare(api.registry, "checkout", NOW, start=False)
    with signed_in(api, "admin") as browser:
        shown = browser.get(PATH)
    assert shown.status == 200
    assert "Nothing has been computed yet" in shown.text
    assert "There is nothing to refresh before the experiment starts." in shown.text
    assert 'action="/environments/production/experiments/checkout/start/"' in shown.html
    assert "/pause/" not in shown.html


def test_page__of_results__has_decision_metrics_looks_split_health_and_provenance(api: Api) -> None:
    checkout(api)
    with signed_in(api) as browser:
        shown = browser.get(PATH)
    for words in (
        "A larger button sells more.",
        "Ship b",
        "By rule 7 primary winning. A treatment that wins on the primary metric, with every guardrail ok, is shipped.",
        "metric 0", "primary metric, higher is better", "must not fall",
        "winning", "95 % interval", "Chance to win", "baseline",
        "All looks, newest first", "The split is sound", "6,000 identities exposed, 12 more excluded",
        "Warning: Events came late", "Ask who sends them.", "Checks that pass (1)",
        "data version 0", "c0dec0de", "checkout-1",
        "look 3; since 2026-03-05 11:00 UTC: 800 new identities, 7 late events",
    ):  # fmt: skip
        assert words in shown.text, words
    assert shown.html.count("<svg") == 3
    assert "style=" not in shown.html


def test_page__of_results__shows_their_sql_folded_and_as_text(api: Api) -> None:
    made = checkout(api)
    with signed_in(api) as browser:
        shown = browser.get(PATH)
        results = api.registry.computations.get(made.id, Computation.RESULTS)
        assert api.registry.results_sql.get(made.id, results) == SQL
        folded = shown.html[shown.html.index("<dt>SQL</dt>") :]
        assert folded.startswith("<dt>SQL</dt><dd><details><summary>")
        assert "sum(value) from measured\nwhere value &lt; $cap and name &lt;&gt; &#39;\\u202e&#39;" in folded
        with api.registry.engine.begin() as connection:  # of results that an older version has published
            connection.execute(delete(results_sql))
        older = browser.get(PATH)
    assert "<dt>SQL</dt><dd>In Dagster it stands on the asset" in older.html


def test_page__of_very_long_sql__shows_its_beginning(api: Api) -> None:
    checkout(api)
    long = "\n".join(f"select {number:06}" for number in range(100_000))
    with api.registry.engine.begin() as connection:
        connection.execute(update(results_sql).values(sql=long))
    with signed_in(api) as browser:
        shown = browser.get(PATH)
    assert "select 000500" in shown.html
    assert "select 001000" not in shown.html
    assert "...\n</pre>" in shown.html


def test_page__findings_that_change_with_time__are_those_of_the_moment(api: Api) -> None:
    running, arrived = declare(api.registry, "checkout", NOW), judge_freshness({}, NOW, HOUR).to_json()
    api.registry.batches.plan_batch([LandedObject("events/env_key=production/a.jsonl", "production", NOW, 1)], NOW)
    api.registry.batches.commit_batch(1, accepted=1, duplicates=0, rejected={}, problems={}, now=NOW)
    publish_look(api.registry, running, 1, NOW, further=[{"check": CHECK.name, **arrived}])
    with signed_in(api) as browser:
        before = browser.get(PATH).text
        api.clock.pass_by(timedelta(days=3))
        after = browser.get(PATH).text
    assert "Checks that pass (2)" in before
    assert "Checks that pass (1)" in after
    assert "P1D" in after


def test_page__numbers__are_those_of_the_payload(api: Api) -> None:
    made = checkout(api, looks=1)
    state = api.registry.computations.get(made.id, Computation.RESULTS)
    assert state.payload is not None
    effect = state.payload["metrics"][0]["effect"]["b"]
    with signed_in(api) as browser:
        shown = browser.get(PATH).text
    assert f"{100 * effect['value']:+.3f} points" in shown
    assert f"{100 * effect['ci_low']:+.3f} points to {100 * effect['ci_high']:+.3f} points" in shown


def test_page__readings__are_switched_by_the_address(api: Api) -> None:
    checkout(api)
    with signed_in(api) as browser:
        plain, anytime = browser.get(PATH), browser.get(f"{PATH}?reading=anytime")
        adjusted = browser.get(f"{PATH}?reading=adjusted")
        wrong = browser.get(f"{PATH}?reading=best")
    assert "Lifts against control with the 95 % interval" in plain.text
    assert "interval, every look" in anytime.text
    assert "Chance to win" not in anytime.text
    assert "Effects, each with the interval that holds at every look" in anytime.text
    assert adjusted.text == plain.text  # no metric has a pre-period
    assert (wrong.status, "reading: " in wrong.text) == (400, True)


def test_page__of_many_metrics_and_arms__stays_under_300_kilobytes(api: Api) -> None:
    checkout(api, looks=3, **MANY)
    with signed_in(api) as browser:
        shown = browser.get(PATH)
    assert shown.html.count(">baseline<") == MANY["metrics"]
    assert len(shown.response.content) < 300_000


@pytest.mark.parametrize("kind", HOSTILE)
def test_page__hostile_texts__are_shown_as_they_are(api: Api, kind: str) -> None:
    text = HOSTILE[kind].replace("\x00", "")
    name = "".join(text.split("\n"))[:255]
    metric = declare_metric(api.registry, name, NOW)
    variants = [{"key": name, "percentage_allocation": 50}]
    made = declare(
        api.registry, "checkout", NOW, metrics=(metric,), name=name, feature=name, hypothesis=text, variants=variants
    )
    for number in (1, 2):
        publish_look(api.registry, made, number, NOW + timedelta(days=number))
    with signed_in(api, "admin") as browser:
        shown = browser.get(PATH)  # `checked` refuses any element that is not the page's
    assert shown.status == 200
    assert "<script>alert" not in shown.html
    assert "<img" not in shown.html
    assert "onload='" not in shown.html
    assert "\u202e" not in shown.html
    if kind == "html":
        assert "<script>alert(1)</script>" in shown.text


def test_page__of_a_payload_of_an_older_version__shows_what_it_has(api: Api) -> None:
    made = checkout(api, looks=1)
    state = api.registry.computations.get(made.id, Computation.RESULTS)
    old = json.loads(json.dumps(state.payload))
    for added in ("decision", "look", "sensitivity", "health"):
        old.pop(added, None)
    for metric in old["metrics"]:
        for added in ("family", "decided_by", "adjusted", "progress", "risk", "chance_to_be_best", "anytime", "margin"):
            metric.pop(added, None)
    with api.registry.engine.begin() as connection:
        is_it = (computations.c.experiment_id == made.id) & (computations.c.computation == "results")
        connection.execute(update(computations).where(is_it).values(payload=old))
    with signed_in(api) as browser:
        shown = browser.get(PATH)
    assert shown.status == 200
    assert "By rule" not in shown.text
    assert "winning" in shown.text


def test_page__of_an_experiment_that_is_not_there__is_a_404_page(api: Api) -> None:
    with signed_in(api) as browser:
        shown = browser.get(PATH)
        assert browser.get(f"{PATH}?phase=x").status == 404
    assert (shown.status, "No experiment 'checkout'" in shown.text) == (404, True)


def test_page__of_an_earlier_phase__is_shown_without_actions(api: Api) -> None:
    made = checkout(api, looks=1)
    api.clock.pass_by(HOUR)
    api.registry.experiments.restart(made.id, actor=ACTOR, now=api.clock.now)
    with signed_in(api, "admin") as browser:
        newest, first = browser.get(PATH), browser.get(f"{PATH}?phase=1")
        missing = browser.get(f"{PATH}?phase=7")
    assert 'aria-current="page">Phase 2' in newest.html
    assert 'aria-current="page">Phase 1' in first.html
    assert "Ship b" in first.text
    assert "/pause/" in newest.html
    assert "/pause/" not in first.html
    assert missing.status == 404


def test_state__changes_with_what_is_published(api: Api) -> None:
    made = checkout(api, looks=1)
    with signed_in(api) as browser:
        asked = f"{PATH}state/"
        before = api.client.get(asked).json()
        assert f'data-version="{before["version"]}"' in browser.get(PATH).html
        api.clock.pass_by(HOUR)
        publish_look(api.registry, made, 2, api.clock.now)
        assert api.client.get(asked).json() != before


def test_refresh__is_requested_once_and_then_counts_down(api: Api) -> None:
    made = checkout(api, looks=1)
    api.clock.pass_by(HOUR)
    with signed_in(api, "refresh") as browser:
        sent = browser.send(f"{PATH}refresh/", PATH)
        assert (sent.status_code, sent.headers["location"]) == (303, f"{PATH}?done=refresh")
        assert [claim.source for claim in api.registry.claims.list_waiting(made.id)] == ["api"]
        shown = browser.get(sent.headers["location"])
        assert "A refresh is requested." in shown.text
        assert "is not computed yet" in shown.text
        assert 'data-seconds="300"' in shown.html
        assert "Refresh (possible in 300 s)" in shown.text
        again = checked(browser.send(f"{PATH}refresh/", PATH))
    assert (again.status, again.response.headers["retry-after"]) == (429, "300")
    assert "Not done: A refresh was requested recently. Try again later." in again.text
    assert len(api.registry.claims.list_waiting(made.id)) == 1


def test_refresh__that_could_only_fail__says_why(api: Api) -> None:
    made = checkout(api, looks=1)
    landed = LandedObject("events/env_key=production/a.jsonl", "production", api.clock.now, 1)
    api.registry.batches.plan_batch([landed], api.clock.now)
    api.registry.batches.commit_batch(1, accepted=1, duplicates=0, rejected={}, problems={}, now=api.clock.now)
    with signed_in(api, "refresh") as browser:
        refused = checked(browser.send(f"{PATH}refresh/", PATH))
    assert (refused.status, "Not done: The lake lacks batch 1" in refused.text) == (503, True)
    assert api.registry.claims.list_waiting(made.id) == []


def test_start_pause_and_complete__with_an_admin_key__change_the_experiment(api: Api) -> None:
    made = declare(api.registry, "checkout", NOW, start=False)
    steps = {
        "start": ExperimentStatus.RUNNING,
        "pause": ExperimentStatus.PAUSED,
        "complete": ExperimentStatus.COMPLETED,
    }
    with signed_in(api, "admin") as browser:
        for action, status in steps.items():
            sent = browser.send(f"{PATH}{action}/", PATH)
            assert (sent.status_code, sent.headers["location"]) == (303, f"{PATH}?done={action}")
            assert api.registry.experiments.get(made.id).status is status
            assert 'role="status"' in browser.get(sent.headers["location"]).html
        refused = checked(browser.send(f"{PATH}start/", PATH))
    assert refused.status == 400
    assert "Not done: The experiment is completed, for good" in refused.text
    newest = api.registry.audit.list("production", limit=1)[0]
    assert newest.actor == f"key:{api.tokens['admin'].split('_')[1]}"


@pytest.mark.parametrize(("action", "needed"), ACTIONS.items())
def test_action__without_key_scope_or_token__changes_nothing(api: Api, action: str, needed: str) -> None:
    made = declare(api.registry, "checkout", NOW, start=action != "start")
    path = f"{PATH}{action}/"
    before = api.registry.experiments.get(made.id)

    def status(scope: str, **headers: str) -> int:
        api.client.cookies.clear()
        with signed_in(api, scope) as browser:
            form = {"form_token": form_token_of(api.tokens[scope])}
            return checked(browser.post(path, form, headers=headers)).status

    api.client.cookies.clear()
    nobody = checked(api.client.post(path, data={}))
    assert (nobody.status, "Sign in first: nothing was changed." in nobody.text) == (401, True)
    assert status("read") == 403
    assert status("other") == 404
    if needed == "admin":
        assert status("refresh") == 403
    assert status(needed, **{"sec-fetch-site": "cross-site"}) == 403
    with signed_in(api, needed) as browser:
        for form in ({"other": "1"}, {"form_token": ""}, {"form_token": form_token_of(api.tokens["read"] + "x")}):
            assert checked(browser.post(path, form)).status == 403
        assert api.client.get(path).status_code == 405
        api.registry.keys.revoke(api.tokens[needed].split("_")[1], actor=ACTOR, now=NOW)
        revoked = checked(browser.post(path, {"form_token": form_token_of(api.tokens[needed])}))
    assert (revoked.status, "it was revoked" in revoked.text) == (401, True)
    assert api.registry.experiments.get(made.id) == before
    assert api.registry.claims.list_waiting(made.id) == []


def test_page__with_a_small_scope__has_no_buttons_that_would_be_refused(api: Api) -> None:
    checkout(api, looks=1)
    with signed_in(api, "read") as browser:
        shown = browser.get(PATH)
    assert "sign in with a key of scope refresh or admin" in shown.text
    assert shown.html.count('method="post"') == 1  # to sign out
