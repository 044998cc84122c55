"""Findings: what a health check says of one experiment."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check of one experiment, whether it passed or not.

    Attributes:
        code: names the outcome for programs, in snake_case; it never changes once it has been shown.
        severity: `OK` where the check passed.
        title: names the outcome for people, in a few words.
        detail: one or two sentences with the numbers, and what to do where the check failed.
        evidence: the numbers that it rests on, JSON-ready and finite.
    """

    code: str
    severity: Severity
    title: str
    detail: str
    evidence: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether nothing was found wrong."""
        return self.severity is Severity.OK

    def to_json(self) -> dict[str, Any]:
        """Return the finding as it is stored and served."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "title": self.title,
            "detail": self.detail,
            "evidence": dict(self.evidence),
        }
