"""Totals that are resumed, against totals of all events: random histories of events in memory (rule I1)."""

import random
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from experiment_pipeline.domain.events import EPOCH
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.warehouse.duckdb.entering_events import Known
from experiment_pipeline.warehouse.duckdb.event_scan import empty_kept
from experiment_pipeline.warehouse.duckdb.known_exposures import brought_up_to_date
from experiment_pipeline.warehouse.duckdb.metric_values import Kept
from experiment_pipeline.warehouse.duckdb.population import Population
from experiment_pipeline.warehouse.duckdb.readings import Reading, Request, Tallied
from experiment_pipeline.warehouse.duckdb.resumed_scan import MatchedTotals, StoredTotals, text_of, total_columns
from experiment_pipeline.warehouse.duckdb.tally import Piece, Tally, TimeSpan
from experiment_pipeline.warehouse.duckdb.totals_refresh import with_gone
from experiment_pipeline.warehouse.duckdb.totals_store import frame_of_totals

MS = 1000  # microseconds
RESUMING = [each for each in Aggregation if each not in (Aggregation.DAYS, Aggregation.WEEKS, Aggregation.DISTINCT)]
SPANS = (TimeSpan(), TimeSpan(3 * MS, 20 * MS), TimeSpan(-8 * MS, 0, of_exposure=True))
NUMBERS = (1.0, 2.5, -3.0, 19.99, 1e300, -1e300, 1e-300, 0.1, 0.1, -0.0, float("nan"))
VARIANTS = ("control", "b", "ü", "")
NOW = Known(EPOCH, 0)
SCHEMA = {"identity_hash": pl.Int64, "first_exposed_at_ms": pl.Int64, "variant": pl.String, "quarantined": pl.Boolean}


@dataclass(frozen=True)
class Event:
    """An event of an identity; `batch` is the refresh that sees it first, unless its time lies ahead of that."""

    identity: int
    at_us: int
    number: float
    batch: int


@dataclass
class History:
    """Events and analysed identities over several refreshes; times count from the start of the window."""

    draw: random.Random

    def __post_init__(self) -> None:
        draw = self.draw
        self.refreshes = draw.randrange(2, 7)
        self.as_of_us = sorted(draw.randrange(1, 60) * MS for _ in range(self.refreshes))
        identities = draw.sample(range(-(2**63), 2**63, 2**50), 12)
        self.events = [
            Event(who, draw.randrange(-10, 60) * MS, draw.choice(NUMBERS), draw.randrange(self.refreshes))
            for who in draw.choices(identities, k=draw.choice((5, 40, 120)))
        ]
        self.starts = {who: draw.randrange(60) * MS for who in identities}
        self.present = {who: draw.randrange(self.refreshes) for who in identities}
        self.reading = Reading(
            "purchase", {Tallied("purchase", (), span): frozenset(RESUMING) for span in draw.sample(SPANS, 2)}
        )

    def population(self, refresh: int) -> Population:
        """Return who is analysed: some are exposed earlier than was known, and some are not analysed any more."""
        for who, at in self.starts.items():
            if self.draw.random() < 0.1:
                self.starts[who] = max(0, at - self.draw.randrange(10) * MS)
        analysed = [who for who, since in self.present.items() if since <= refresh and self.draw.random() < 0.9]
        hashes = np.array(sorted(analysed), np.int64)
        starts = np.array([self.starts[who] for who in hashes.tolist()], np.int64)
        return Population(hashes, starts, np.zeros(len(hashes), np.int64), 1)

    def tallied(self, population: Population, events: list[Event], totals: MatchedTotals | None) -> dict[Request, Kept]:
        """Return tallies of events, on top of totals."""
        kept = empty_kept(population, self.reading)
        if totals is not None:
            totals.resume(kept, self.reading)
        self.draw.shuffle(events)
        for start in range(0, len(events), 7):
            piece = events[start : start + 7]
            columns = {
                "identity_hash": np.array([each.identity for each in piece], np.int64),
                "at_us": np.array([each.at_us for each in piece], np.int64),
                "number": np.array([each.number for each in piece]),
            }
            if len(population):
                read = Piece(population, columns)
                for tally in kept.values():
                    tally.add(read)
        return kept

    def run(self) -> int:
        """Refresh again and again, and compare; return how often totals were resumed."""
        frames: list[pl.DataFrame] = []
        numbers = {text_of(request, self.reading): n for n, request in enumerate(self.reading.requests)}
        resumed = 0
        for refresh, as_of in enumerate(self.as_of_us):
            population = self.population(refresh)
            seen = [each for each in self.events if each.batch <= refresh and each.at_us < as_of]
            before = self.as_of_us[refresh - 1] if refresh else 0
            known = [each for each in seen if refresh and each.batch < refresh and each.at_us < before]
            totals = MatchedTotals(StoredTotals(NOW, 0, numbers, {}, frames), population)
            again = set(population.identity_hash[~totals.resumed].tolist())
            read = [each for each in seen if each not in known or each.identity in again]
            found = self.tallied(population, read, totals)
            wanted = self.tallied(population, seen, None)
            for request, tally in found.items():
                same_to_the_last_bit(tally, wanted[request])
            columns = total_columns(population, found, {r: n for n, r in enumerate(self.reading.requests)}, 0)
            if frames and self.draw.random() < 0.7:
                touched = np.isin(population.identity_hash, [each.identity for each in read]) | ~totals.resumed
                changed = {name: values[touched] for name, values in columns.items()}
                frames = [*frames, frame_of_totals(with_gone(changed, totals.gone()))]
            else:
                frames = [frame_of_totals(columns)]
            resumed += int(np.count_nonzero(totals.resumed))
        return resumed


def same_to_the_last_bit(mine: Kept, other: Kept) -> None:
    assert isinstance(mine, Tally)
    assert isinstance(other, Tally)
    assert np.array_equal(mine.events, other.events)
    assert np.array_equal(mine.numeric_events, other.numeric_events)
    for aggregation in RESUMING:
        assert mine.values(aggregation).tobytes() == other.values(aggregation).tobytes(), aggregation


def resumed_of(histories: range) -> int:
    return sum(History(random.Random(seed)).run() for seed in histories)


def test_totals__of_20_histories_of_events__are_those_of_all_events__i1() -> None:
    assert resumed_of(range(20)) > 50


@pytest.mark.slow
def test_totals__of_5000_histories_of_events__are_those_of_all_events__i1() -> None:
    assert resumed_of(range(5000)) > 20_000


def exposures_of(rows: list[tuple[int, int, str]]) -> pl.DataFrame:
    """First exposures in plain Python: of each identity the smallest time and variant, and whether it saw several."""
    by_identity: dict[int, list[tuple[int, str]]] = {}
    for who, at, variant in rows:
        by_identity.setdefault(who, []).append((at, variant))
    found = [(who, *min(seen), len({variant for _, variant in seen}) > 1) for who, seen in sorted(by_identity.items())]
    schema = {
        "identity_hash": pl.Int64,
        "first_exposed_at_ms": pl.Int64,
        "variant": pl.String,
        "quarantined": pl.Boolean,
    }
    return pl.DataFrame(found, schema=schema, orient="row")


def entered(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(entered_at_ms=pl.col("first_exposed_at_ms"))


def merged_histories(histories: range) -> int:
    """Bring first exposures up to date batch by batch; return how many identities are quarantined in the end."""
    quarantined = 0
    for seed in histories:
        draw = random.Random(seed)
        rows = [
            (draw.randrange(-6, 6), draw.randrange(4), draw.choice(VARIANTS[: draw.choice((1, 2, 4))]))
            for _ in range(draw.randrange(40))
        ]
        known = entered(exposures_of([]))
        for start in range(0, len(rows), 9):
            known = brought_up_to_date(known, exposures_of(rows[start : start + 9]))
            assert known.equals(entered(exposures_of(rows[: start + 9])), null_equal=True), f"seed {seed}"
        quarantined += int(known["quarantined"].sum())
    return quarantined


def test_first_exposures__of_100_histories__are_those_of_all_exposures__x2_x3() -> None:
    assert merged_histories(range(100)) > 50


@pytest.mark.slow
def test_first_exposures__of_5000_histories__are_those_of_all_exposures__x2_x3() -> None:
    assert merged_histories(range(5000)) > 2500
