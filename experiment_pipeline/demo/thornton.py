"""A real randomised experiment as events: does a cash incentive bring people to learn the result of an HIV test?

README.md beside the data names the study. The source has no times, so these are invented: people are offered one after
the other, and who came to learn the result did so a day later.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

DATA = Path(__file__).with_name("thornton_hiv.csv")
ENVIRONMENT = "field-study"
FEATURE = "hiv_result_incentive"
RESULT_LEARNED = "result_learned"
STARTED_AT = datetime(2026, 1, 5, tzinfo=UTC)
BETWEEN_OFFERS = timedelta(minutes=5)
UNTIL_THE_RESULT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Person:
    """One row of the study."""

    identifier: str
    variant: str
    offered_at: datetime
    learned_at: datetime | None


def people() -> Iterator[Person]:
    """Yield the 2,834 people of whom both offer and outcome are known."""
    with DATA.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines)):
            offered_at = STARTED_AT + number * BETWEEN_OFFERS
            yield Person(
                identifier=f"person-{row['person']}",
                variant="incentive" if row["incentive"] == "1" else "control",
                offered_at=offered_at,
                learned_at=offered_at + UNTIL_THE_RESULT if row["learned_result"] == "1" else None,
            )
