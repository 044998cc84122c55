"""Traffic of simulated experiments: who is exposed when, who converts, and the landing objects of one day.

Identities arrive evenly over the days until `SAMPLES` planned samples have come. Each converts, or meets an error, with
a probability of its variant, some hours after its exposure. Every experiment has a seed of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiment_pipeline.stats.power import sample_size

SEED = 20_261_130
STARTED_AT = datetime(2025, 6, 2, tzinfo=UTC)
DAYS = 30
BASELINE, MDE, ERRORS = 0.2, 0.2, 0.1
SAMPLES = 1.6  # planned samples that come in all
PLANNED = sample_size(standard_deviation=(BASELINE * (1 - BASELINE)) ** 0.5, effect=MDE * BASELINE)
DELAY_HOURS = 6.0  # mean, of conversions and errors
IN_ENVIRONMENT = 10  # experiments
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Simulated:
    """One simulated experiment.

    Attributes:
        number: its seed follows from it.
        lift: the true lift of the conversion rate; 0 where nothing differs.
        n_looks: planned looks of its design; 1 where the verdict holds at every refresh.
    """

    number: int
    lift: float
    n_looks: int

    @property
    def key(self) -> str:
        """The key of the experiment; its flag and its events are named after it."""
        return f"e{self.number}"

    @property
    def environment(self) -> str:
        """The environment that it shares with a few others."""
        return f"simulation-{self.number // IN_ENVIRONMENT}"

    def events(self) -> pl.DataFrame:
        """Return its events in the order of their times: one row each, times in epoch milliseconds."""
        rng = np.random.default_rng([SEED, self.number])
        n = round(SAMPLES * (PLANNED.control + PLANNED.treatment))
        exposed = rng.integers(0, DAYS * DAY_MS, n)
        treated = rng.random(n) < 0.5
        converts = rng.random(n) < BASELINE * (1 + self.lift * treated)
        errs = rng.random(n) < ERRORS
        start = int(STARTED_AT.timestamp() * 1000)
        identities = pl.DataFrame(
            {
                "identifier": pl.Series([f"{self.number}-{each}" for each in range(n)]),
                "exposed": start + exposed,
                "value": pl.Series(np.where(treated, "b", "control")),
            }
        )
        later = [
            identities.filter(pl.Series(who)).with_columns(
                event=pl.lit(f"{name}_{self.key}"),
                timestamp=pl.col("exposed") + pl.Series(_delays(rng, int(who.sum()))),
            )
            for name, who in (("converted", converts), ("failed", errs))
        ]
        exposures = identities.with_columns(
            event=pl.lit("$flag_exposure"), feature_name=pl.lit(self.key), timestamp=pl.col("exposed")
        )
        columns = ["event", "identifier", "timestamp"]
        return pl.concat(
            [exposures.select(*columns, "feature_name", "value"), *(each.select(columns) for each in later)],
            how="diagonal",
        ).sort("timestamp", maintain_order=True)


def _delays(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Return times between exposure and event, in milliseconds."""
    return rng.exponential(DELAY_HOURS * HOUR_MS, n).astype(np.int64)


def experiments(null: int, moving: int) -> list[Simulated]:
    """Return experiments without a difference, then those with the design's; every second plans looks."""
    lifts = [0.0] * null + [MDE] * moving
    return [Simulated(number, lift, 5 if number % 2 else 1) for number, lift in enumerate(lifts)]


def as_of(day: int) -> datetime:
    """Return the end of a day, the first one 1."""
    return STARTED_AT + timedelta(days=day)


def land_days(simulated: Sequence[Simulated], landing: Path) -> Iterator[int]:
    """Write the landing objects of one day after the other, one for each environment, and yield the day."""
    by_environment: dict[str, list[pl.DataFrame]] = {}
    for each in simulated:
        by_environment.setdefault(each.environment, []).append(each.events())
    every = {key: pl.concat(frames).sort("timestamp") for key, frames in by_environment.items()}
    for day in range(1, DAYS + 1):
        low, high = (int(as_of(each).timestamp() * 1000) for each in (day - 1, day))
        for environment, events in every.items():
            folder = landing / "events" / f"env_key={environment}" / f"{as_of(day):%Y/%m/%d/%H}"
            folder.mkdir(parents=True)
            hidden = folder / ".day.jsonl"
            events.filter(pl.col("timestamp").is_between(low, high, closed="left")).write_ndjson(hidden)
            hidden.rename(folder / "day.jsonl")
        yield day
