"""Temporary."""

from enum import StrEnum


class Verdict(StrEnum):
    COLLECTING_DATA = "collecting_data"
    INCONCLUSIVE = "inconclusive"
    WINNING = "winning"
    LOSING = "losing"
    OK = "ok"
    HARMED = "harmed"
