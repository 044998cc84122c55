"""Findings of health checks as pages show them, the worst first."""

from dataclasses import dataclass

from experiment_pipeline.domain.refresh import StoredHealth
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.quantities import readable
from experiment_pipeline.pages.tones import SEVERITY_TONES, Line, Tone

TOLD_ABOVE = ("split_as_configured", "values_readable")  # checks whose findings pages tell in places of their own


@dataclass(frozen=True, slots=True)
class FindingView:
    """The finding of one health check.

    Attributes:
        check: its name, as a phrase.
        severity: "error", "warning" or "ok".
        detail: the numbers, and what to do where the check failed.
        is_told_elsewhere: whether another part of the page says the same.
    """

    check: str
    severity: str
    tone: Tone
    title: str
    detail: str
    is_told_elsewhere: bool

    @property
    def passed(self) -> bool:
        """Whether nothing was found wrong."""
        return self.severity == "ok"

    @property
    def line(self) -> Line:
        """The finding in one line."""
        return Line(f"{self.severity}: {self.title}. {self.detail}", self.tone)


def finding_views(health: StoredHealth | None) -> tuple[FindingView, ...]:
    """Return every finding, the worst first; none before results were published."""
    return tuple(
        FindingView(
            check=readable(finding["check"]),
            severity=finding["severity"],
            tone=SEVERITY_TONES.get(finding["severity"], Tone.NEUTRAL),
            title=printable(finding["title"]),
            detail=printable(finding["detail"]),
            is_told_elsewhere=finding["check"] in TOLD_ABOVE,
        )
        for finding in ([] if health is None else health.worst_first())
    )
