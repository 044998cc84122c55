"""Tones: whether a text on a page is good news, bad news, a warning, or neither."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from experiment_pipeline.results.decision import Action
from experiment_pipeline.stats.verdict import Verdict


class Tone(StrEnum):
    """The tone of a text: a terminal, a page and a picture each have a colour and a word for it."""

    GOOD = "good"
    BAD = "bad"
    WARNING = "warning"
    NEUTRAL = "neutral"
    QUIET = "quiet"  # beside what matters


VERDICT_TONES = {
    Verdict.WINNING: Tone.GOOD,
    Verdict.OK: Tone.GOOD,
    Verdict.LOSING: Tone.BAD,
    Verdict.HARMED: Tone.BAD,
}
ACTION_TONES = {Action.SHIP: Tone.GOOD, Action.ROLLBACK: Tone.BAD, Action.INCONCLUSIVE: Tone.WARNING}
SEVERITY_TONES = {"error": Tone.BAD, "warning": Tone.WARNING, "ok": Tone.GOOD}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text with its tone. Names of other people stand in it on one line, without control characters."""

    text: str
    tone: Tone = Tone.NEUTRAL

    def __str__(self) -> str:
        return self.text


def quiet(texts: Iterable[str]) -> tuple[Line, ...]:
    """Return lines that stand beside what matters."""
    return tuple(Line(text, Tone.QUIET) for text in texts)
