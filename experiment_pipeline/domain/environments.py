"""Environments: where a feature is evaluated (rule E8)."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a feature is evaluated, e.g. `production`. Its key is always text (rule E8)."""

    key: str
    name: str
    created_at: datetime
