"""The view of an experiment: everything of the payload as texts, and a view of what older versions stored."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from experiment_pipeline.domain.refresh import Computation, ComputedTogether, StoredHealth
from experiment_pipeline.pages.listing import listed_experiment
from experiment_pipeline.pages.metrics import Estimate, ReadingName
from experiment_pipeline.pages.tones import Tone
from experiment_pipeline.pages.view import experiment_view
from experiment_pipeline.results.payload import ResultsPayload
from tests.pages.published import (
    AS_OF,
    HOSTILE,
    exposures_of,
    finding,
    looks_of,
    payload_of,
    state,
    subject,
    together,
    view_of,
)


def test_view__of_published_results__has_decision_split_metrics_and_what_moved() -> None:
    view = view_of(subject())
    assert view.results is not None
    assert view.results.decision is not None
    assert (view.results.decision.action, view.results.decision.tone) == ("ship b", Tone.GOOD)
    assert view.results.decision.rule == "7 primary winning"
    assert view.results.decision.rule_in_words.startswith("A treatment that wins on the primary metric")
    assert (view.results.split.verdict, view.results.split.tone) == ("sound", Tone.GOOD)
    assert [(arm.variant, arm.identities, arm.expected_share) for arm in view.results.split.arms] == [
        ("control", 2_000, 0.5),
        ("b", 2_000, 0.5),
    ]
    assert view.results.exposures is not None
    assert view.results.exposures.summary == ("4,000 identities exposed, 12 more excluded for seeing several variants")
    assert view.results.exposures.cumulative["b"] == tuple(range(200, 2_001, 200))
    assert view.results.provenance.window == "from 2026-03-01 00:00 to 2026-03-11 00:00 UTC, data version 3"
    assert view.results.provenance.code_version == "c0de"
    assert view.results.moved is not None
    assert view.results.moved.summary == "look 5; since 2026-03-10 00:00 UTC: 800 new identities, 7 late events"
    assert [each.severity for each in view.findings] == ["warning", "ok"]


def test_view__metrics__have_texts_and_the_payloads_own_numbers() -> None:
    of = subject()
    payload = payload_of(of)
    view = view_of(of)
    assert view.results is not None
    primary, guardrail = view.results.metrics
    assert view.primary == primary
    assert (primary.name, primary.wanted, primary.family) == ("bought", "higher is better", "primary metric")
    assert (guardrail.wanted, guardrail.family) == ("must not fall", "guardrail")
    control, treatment = primary.arms
    assert (control.variant, control.identities, control.value) == ("control", "800 of 2,000", "40.000 %")
    assert control.comparison is None
    compared = treatment.comparison
    assert compared is not None
    assert (compared.verdict_words, compared.tone, compared.p_value) == ("winning", Tone.GOOD, "< 0.0001")
    assert (compared.plain.effect, compared.plain.lift) == ("+20.000 points", "+50.00 %")
    (of_metric, _), effect = payload["metrics"], payload["metrics"][0]["effect"]["b"]
    assert compared.plain.effect_estimate == Estimate(effect["value"], effect["ci_low"], effect["ci_high"])
    anytime = of_metric["anytime"]["b"]
    assert compared.anytime.effect_estimate == Estimate(effect["value"], anytime["ci_low"], anytime["ci_high"])
    assert compared.anytime.p_value == compared.p_value
    assert compared.reading(ReadingName.ADJUSTED) is compared.plain, "nothing was adjusted"
    assert primary.reading_names == (ReadingName.PLAIN, ReadingName.ANYTIME)


def test_view__looks__have_the_interval_that_the_verdict_is_about() -> None:
    view = view_of(subject())
    assert [look.number for look in view.looks] == [5, 4, 3, 2, 1]
    newest = view.looks[0]
    assert (newest.identities, newest.late, newest.quarantined) == ("4,000", "7", "1")
    assert newest.decision == "ship"
    assert newest.verdicts == "bought: winning; bought 1: ok"
    assert newest.primary["b"].value == pytest.approx(0.1)
    assert newest.primary["b"].low > 0


def test_view__before_anything_was_computed__says_so() -> None:
    of = subject()
    nothing = ComputedTogether(state(Computation.EXPOSURES, None), state(Computation.RESULTS, None))
    view = experiment_view(of, nothing)
    assert (view.results, view.primary, view.findings, view.looks) == (None, None, (), ())
    assert [line.text for line in view.alerts] == ["Nothing has been computed yet: run a refresh."]
    half = replace(nothing, exposures=state(Computation.EXPOSURES, exposures_of(of)), newer=Computation.EXPOSURES)
    assert [line.text for line in experiment_view(of, half).alerts] == [
        "Newer exposures are published without results of the same data: a refresh completes them.",
        "No results to show beside: run a refresh.",
    ]
    other = replace(together(of), exposures=state(Computation.EXPOSURES, None), newer=Computation.RESULTS)
    view = experiment_view(of, other)
    assert view.results is not None
    assert view.results.exposures is None
    assert view.alerts[-1].text == "No exposures to show beside: run a refresh."


def test_view__refresh_that_failed__is_told_beside_what_still_stands__r3() -> None:
    computed = together(subject())
    failed = replace(computed, results=replace(computed.results, last_error_at=AS_OF + timedelta(hours=1)))
    assert experiment_view(subject(), failed).failure == "last refresh failed 2026-03-11 01:00"
    assert experiment_view(subject(), computed).failure == ""


def older(payload: Any) -> Any:
    """Return a payload with the members that the first version stored alone."""
    optional = ResultsPayload.__optional_keys__
    kept = {name: value for name, value in payload.items() if name not in optional}
    required = {"metric_id", "variants", "inference", "effect", "expected_loss", "verdict", "reason"}
    kept["metrics"] = [{name: metric[name] for name in required} for metric in payload["metrics"]]
    kept["srm"] = {
        name: payload["srm"][name] for name in ("anytime_p_value", "identities", "expected_shares", "reason")
    }
    return kept


def test_view__payload_of_an_older_version__still_is_a_page() -> None:
    of = subject()
    looks = [replace(look, payload=older(look.payload)) for look in looks_of(of)]
    view = experiment_view(of, together(of, older(payload_of(of))), None, looks)
    assert view.results is not None
    assert (view.results.decision, view.results.moved) == (None, None)
    (compared,) = view.results.metrics[0].comparisons.values()
    assert (compared.plain.lift, compared.anytime.effect, compared.p_value) == ("+50.00 %", "–", "–")
    assert view.results.metrics[0].family == "primary metric"
    assert (view.looks[0].new, view.looks[0].decision, view.looks[0].primary) == ("–", "–", {})


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_view__names_of_other_people__stand_on_one_line_without_control_characters(name: str) -> None:
    of = subject(name=name, feature=name, hypothesis=name)
    of = replace(of, name=name)
    health = StoredHealth(AS_OF, 3, [finding(detail=name, title=name)])
    view = experiment_view(of, together(of), health, looks_of(of))
    assert view.results is not None
    texts = [view.name, view.hypothesis, view.feature, view.results.metrics[0].name, view.findings[0].detail]
    for text in [*texts, *(look.verdicts for look in view.looks)]:
        assert not {"\n", "\u202e", "\x00"} & set(text)


def test_view__decision_of_several_treatments__has_one_for_each__c10() -> None:
    view = view_of(subject(treatments=2))
    assert view.results is not None
    assert view.results.decision is not None
    assert [(each.subject, each.action) for each in view.results.decision.by_treatment] == [
        ("b", "ship"),
        ("c", "ship"),
    ]


def test_view__health_that_other_parts_tell__is_marked() -> None:
    view = view_of(subject())
    assert {each.check: each.is_told_elsewhere for each in view.findings} == {
        "late events": False,
        "split as configured": True,
    }


@pytest.mark.parametrize(
    ("severities", "words", "tone"),
    [
        (("ok", "ok"), "ok", Tone.GOOD),
        (("ok", "warning"), "1 warning", Tone.WARNING),
        (("error", "warning", "error"), "2 errors", Tone.BAD),
    ],
)
def test_listing__health__is_the_worst_with_its_number(severities: tuple[str, ...], words: str, tone: Tone) -> None:
    of = subject()
    health = StoredHealth(AS_OF, 3, [finding(f"check {number}", each) for number, each in enumerate(severities)])
    listed = listed_experiment(of, payload_of(of), health, AS_OF + timedelta(hours=5))
    assert (listed.health, listed.health_tone, listed.days) == (words, tone, 10)
    assert (listed.decision, listed.metric) == ("ship b", "bought")
    assert [(each.treatment, each.words) for each in listed.verdicts] == [("b", "winning")]


def test_listing__before_the_start__is_empty_where_nothing_is_known() -> None:
    listed = listed_experiment(replace(subject(), started_at=None), None, None, AS_OF)
    assert (listed.days, listed.health, listed.decision, listed.verdicts) == (None, "", "", ())
