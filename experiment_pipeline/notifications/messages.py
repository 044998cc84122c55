"""Messages: a notification as the body of a webhook, and as plain text for chat and e-mail.

Names of experiments, metrics, variants and sources are other people's. In JSON they stand as they are; in text they are
cut, on one line, and without the characters by which HTML, Markdown or a chat would make something else of them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never
from urllib.parse import quote

from experiment_pipeline.domain.notifications import Notification, NotificationEvent
from experiment_pipeline.domain.texts import NAME_SHOWN, printable, shortened
from experiment_pipeline.results.reasons import in_words
from experiment_pipeline.times import iso_utc

TEST = "test"
SENTENCE_SHOWN = 500  # characters of a sentence that holds names
MOST_LISTED = 10
# Look-alikes that no HTML, Markdown or chat obeys: <!channel>, @here, [a](b), `code`, *bold*, a|b.
HARMLESS = str.maketrans("<>&@[]`*~|\\", "‹›＆＠［］ˋ∗∼｜＼")
SCHEME = "://"  # chats make a link of what follows


@dataclass(frozen=True, slots=True)
class Message:
    """A notification for people: a title of one line, and a text of a few."""

    title: str
    text: str
    url: str | None


def message_of(notification: Notification, public_url: str | None) -> Message:
    """Return a notification in words.

    Args:
        notification: of an experiment, or a test.
        public_url: where people reach the results page; None where that is not known.
    """
    experiment, environment = notification.experiment, notification.environment_key
    if experiment is None or environment is None:
        return Message(
            "Test of notifications",
            "experiment-pipeline reaches this target. Nothing has happened to an experiment.",
            None,
        )
    title, lines = _words(NotificationEvent(notification.event), notification.facts)
    phase = f", phase {experiment.phase}" if experiment.phase > 1 else ""
    which = f"Experiment: {plain(experiment.name)} ({plain(experiment.key)} in {plain(environment)}{phase})"
    address = None
    if public_url is not None:
        path = f"environments/{quote(environment, safe='')}/experiments/{quote(experiment.key, safe='')}/"
        address = f"{public_url.rstrip('/')}/{path}"
    text = "\n".join([which, *lines, *([f"Results: {address}"] if address else ())])
    return Message(f"{title}: {plain(experiment.name)}", text, address)


def body_of(notification: Notification, public_url: str | None) -> bytes:
    """Return the body of a webhook, as `notifications.body_schema` describes it: JSON in ASCII, the same every time."""
    message, experiment = message_of(notification, public_url), notification.experiment
    named = None
    if experiment is not None:
        named = {name: getattr(experiment, name) for name in ("id", "key", "name", "phase")}
    content = {
        "id": notification.key,
        "type": notification.event,
        "timestamp": iso_utc(notification.created_at),
        "data": {
            "environment": notification.environment_key,
            "experiment": named,
            "title": message.title,
            "text": message.text,
            "url": message.url,
            "facts": notification.facts,
        },
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")


def plain(text: str, characters: int = NAME_SHOWN) -> str:
    """Return somebody else's text for the text of a message: one line, cut, and nothing that a chat obeys."""
    harmless = printable(shortened(text, characters)).translate(HARMLESS)
    return harmless.replace(SCHEME, ":∕∕")


def _words(event: NotificationEvent, facts: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the beginning of the title, and the lines of the text, of an event."""
    words: Callable[[Mapping[str, Any]], tuple[str, list[str]]]
    match event:
        case NotificationEvent.DECISION_REACHED:
            words = _decision
        case NotificationEvent.SPLIT_BROKEN:
            words = _split
        case NotificationEvent.GUARDRAIL_HARMED:
            words = _guardrail
        case NotificationEvent.REFRESH_FAILING:
            words = _refresh
        case NotificationEvent.DATA_LATE:
            words = _late
        case NotificationEvent.EXPERIMENT_FINAL:
            words = _final
        case _ as never:
            assert_never(never)
    return words(facts)


def _decision(facts: Mapping[str, Any]) -> tuple[str, list[str]]:
    lines = [f"Decision: {_action(facts)}. {plain(facts['why'], SENTENCE_SHOWN)}"]
    if facts["previous"] is not None:
        lines.append(f"Before: {_action(facts['previous'])}.")
    return f"Decision, {facts['action'].replace('_', ' ')}", [*lines, _as_of(facts)]


def _split(facts: Mapping[str, Any]) -> tuple[str, list[str]]:
    identities, shares = facts["identities"] or {}, facts["expected_shares"] or {}
    told = [
        f"Variant {plain(variant)}: {count:,} identities{_expected(shares.get(variant))}"
        for variant, count in identities.items()
    ]
    why = [f"Reason: {plain(in_words(facts['reason']))}."] if facts["reason"] else []
    remedy = "Do not decide on these results: look for exposures that are lost, or sent twice, in one variant alone."
    return "Split of traffic broken", [*_cut(told), *why, remedy, _as_of(facts)]


def _guardrail(facts: Mapping[str, Any]) -> tuple[str, list[str]]:
    harmed = [(plain(each["treatment"]), plain(each["metric"])) for each in facts["harmed"]]
    told = [f"Treatment {treatment} is shown to harm {metric}." for treatment, metric in harmed]
    return "Guardrail harmed", [*_cut(told), _as_of(facts)]


def _refresh(facts: Mapping[str, Any]) -> tuple[str, list[str]]:
    published = facts["last_published_at"]
    shown = f"The results of {published} are still shown." if published else "No results were published yet."
    told = f"The {facts['computation']} could not be computed {facts['failures']} times in a row."
    last = f"The last failure was at {facts['last_error_at']}; Dagster's page of the run has its reason."
    return "Refresh fails", [told, last, shown]


def _late(facts: Mapping[str, Any]) -> tuple[str, list[str]]:
    if facts["reason"] != "no_new_events":
        return "Data is late", [plain(facts["detail"], SENTENCE_SHOWN)]
    newest = [
        f"From {plain(origin)} the newest event arrived {moment or 'never'}."
        for origin, moment in facts["newest_landed_at"].items()
    ]
    return "No new data", [*_cut(newest), "See whether the sender runs, and whether the source is pulled."]


def _final(facts: Mapping[str, Any]) -> tuple[str, list[str]]:
    decision = facts["decision"]
    told = "No decision: the experiment has no metric."
    if decision is not None:
        told = f"Decision: {_action(decision)}. {plain(decision['why'], SENTENCE_SHOWN)}"
    trust = {True: "The split is as configured.", False: "The split is not as configured: do not rely on the results."}
    return "Results are final", [told, trust.get(facts["trustworthy"], "The split was not tested."), _as_of(facts)]


def _action(decision: Mapping[str, Any]) -> str:
    treatment = decision["treatment"]
    return f"{decision['action'].replace('_', ' ')}{f' {plain(treatment)}' if treatment is not None else ''}"


def _expected(share: float | None) -> str:
    return "" if share is None else f", expected {100 * share:.3g} %"


def _as_of(facts: Mapping[str, Any]) -> str:
    return f"As of {facts['as_of']}."


def _cut(lines: list[str]) -> list[str]:
    left = len(lines) - MOST_LISTED
    return lines if left <= 0 else [*lines[:MOST_LISTED], f"And {left} more."]
