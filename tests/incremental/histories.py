"""Random histories of one experiment in a real lake: what lands, when it is refreshed, and what becomes of files.

After every refresh the incremental engine must have what an engine has that reads everything, bit by bit (rule X5).
"""

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.audience import EVERYBODY, Audience, Dimension
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.experiments import MultipleExposures
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.measures import (
    Aggregation,
    Bound,
    Condition,
    Events,
    Measure,
    MeasureWindow,
    Missing,
    Operator,
)
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Metric, Quantile, Ratio, Retention, Statistic
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.storage.files import local_folder
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.connection import KeptConnection
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from experiment_pipeline.warehouse.refreshes import RefreshMode, RefreshPolicy
from tests.lake.ledger import PROD, MemoryLedger
from tests.lake.source_objects import land_range

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
STARTED_AT = datetime.fromisoformat("2026-03-30T20:00:00.250Z")  # its window reaches into two months
LENGTH = 4 * DAY
PARTITION, FEATURE = "checkout-1", "checkout"
NAMES = ("purchase", "view")
GERMAN = Condition("traits.country", Operator.IS, "DE")
ORDERS, VIEWS = Events("purchase"), Events("view")


def _mean(aggregation: str, events: Events = ORDERS, **of_measure: object) -> Mean:
    return Mean(Measure(events, Aggregation(aggregation), **of_measure))  # type: ignore[arg-type]


TALLIED: tuple[Statistic, ...] = (
    *(_mean(name) for name in ("occurrence", "count", "sum", "mean", "min", "max", "first", "last")),
    _mean("mean", missing=Missing.ZERO),
    _mean("sum", Events("purchase", (GERMAN,), MeasureWindow(timedelta(0), DAY))),
    _mean("max", Events("view", (), MeasureWindow(HOUR, 2 * DAY)), cap=Bound(at=2.0)),
    replace(_mean("sum", cap=Bound(percentile=90, of_nonzero=True)), covariate_before=2 * DAY),
    Ratio(Measure(ORDERS, Aggregation.SUM), Measure(VIEWS, Aggregation.COUNT)),
    Quantile(0.9, Measure(ORDERS, Aggregation.LAST)),
    Retention(Measure(Events("view", (), MeasureWindow(DAY, 2 * DAY)), Aggregation.OCCURRENCE)),
)
KEPT: tuple[Statistic, ...] = (  # whose events are read again at every refresh
    Quantile(0.5, ORDERS),
    Funnel((VIEWS, ORDERS), within=DAY),
    _mean("days", VIEWS),
    _mean("distinct"),
    _mean("count", VIEWS, slice_by="traits.country"),
)
VALUES = ("1", "2.5", "-3", "19.99", "1e300", "-1e-300", "0.1", "0.1", "-0", "free", "")


@dataclass
class History:
    """One experiment in a lake of its own; every choice is drawn from the seed."""

    seed: int
    folder: Path
    refreshes: int
    counts: Counter[str] = field(default_factory=Counter)

    def copied_to(self, folder: Path) -> "History":
        """Return the same history in a copy of its folder, with connections of its own."""
        shutil.copytree(self.folder, folder)
        copied = copy(self)
        copied.folder, copied.lake, copied.ledger = folder, Lake(folder / "lake"), deepcopy(self.ledger)
        copied.draw, copied.landed, copied.counts = deepcopy(self.draw), [*self.landed], Counter()
        copied.connect = KeptConnection(connect)
        copied.engine = copied._engine("artifacts", self.engine.refreshes)
        copied.full = copied._engine("full", self.full.refreshes)
        return copied

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.lake, self.ledger = Lake(self.folder / "lake"), MemoryLedger()
        self.now = STARTED_AT + self.draw.choice((0, 2, 20)) * HOUR
        self.seen_until = STARTED_AT - 2 * DAY
        self.landed: list[dict[str, object]] = []
        self.corrects, self.source_version = self.seed % 5 in (1, 3), 1
        self.metrics = self._metrics()
        self.scope = self._scope()
        audit_every = self.draw.choice((3, 50, 50, 50))
        self.connect = KeptConnection(connect)
        self.engine = self._engine("artifacts", RefreshPolicy(least_rows=0, audit_every=audit_every))
        self.full = self._engine("full", RefreshPolicy())

    def run(self) -> None:
        """Live through the history, and compare after every refresh."""
        with closing(self.connect):
            self._run()

    def _run(self) -> None:
        for _ in range(self.refreshes):
            for _ in range(self.draw.choice((0, 1, 1, 1, 2))):
                self.land()
            if self.corrects and self.draw.random() < 0.7:
                self.land_source()
            self.tidy()
            self.refresh_and_compare()
            self.now += self.draw.choice((0, 1, 5, 20, 30)) * HOUR + self.draw.randrange(60) * MINUTE

    def land(self) -> None:
        """Ingest one batch: prompt events, late ones, some that are ahead of their time, and duplicates."""
        records = [self._record() for _ in range(self.draw.choice((1, 15, 60)))]
        self.land_records(
            [*records, *self.draw.sample(self.landed, min(len(self.landed), self.draw.choice((0, 0, 3))))]
        )

    def land_source(self) -> None:
        """Ingest rows of a source, which supersede those of theirs that came before, or replace all of them."""
        rows = {f"row-{self.draw.randrange(12)}": self._record() for _ in range(self.draw.choice((6, 20)))}
        number = len(self.ledger.batches)
        told = [
            {
                "feature_name": None,
                **record,
                "event_id": key,
                "traits": record["traits"] and json.dumps(record["traits"]),
                "timestamp": datetime.fromisoformat(str(record["timestamp"])),
                "source_cursor": number,
            }
            for key, record in rows.items()
        ]
        again = self.draw.random() < 0.2
        self.source_version += again
        name = f"{'again-' if again else ''}v{self.source_version}-{number:06}"
        land_range(self.folder / "landing", name, told)
        self.counts["removed rows"] += ingest(self.lake, self.ledger, self.folder / "landing", self.now + DAY).removed

    def land_records(self, records: list[dict[str, object]]) -> None:
        """Ingest one batch of these."""
        self.landed += records
        self.seen_until = self.now
        number = len(self.ledger.batches)
        path = self.folder / f"landing/events/env_key={PROD}/2026/03/01/11/{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        ingest(self.lake, self.ledger, self.folder / "landing", self.now + DAY)

    def tidy(self) -> None:
        """Sometimes compact the lake, and sometimes remove what that has replaced."""
        if self.lake.is_empty:
            return
        done = self.draw.choice(("nothing", "nothing", "tiers", "whole"))
        if done != "nothing":
            recent_after = self.draw.choice((None, max(0, len(self.ledger.batches) - 2)))
            merges = compact(self.lake, self.now, whole=done == "whole", recent_after=recent_after)
            self.counts["compactions"] += len(merges)
        if self.draw.random() < 0.2:
            self.counts["removed files"] += len(self.lake.vacuum(timedelta(0)))

    def refresh_and_compare(self) -> None:
        """Refresh both ways."""
        scope = self.scope_now()
        final = self.now > STARTED_AT + LENGTH + DAY
        mode = RefreshMode.AUDITED if final else RefreshMode.INCREMENTAL
        exposures = self.engine.write_first_exposures(scope, mode)
        self.full.write_first_exposures(scope)
        self.counts[f"exposures: {exposures.refresh.text}"] += 1
        mine, all_of = (
            pl.read_parquet(local_folder(each.artifacts.path("first_exposures", PARTITION)))
            for each in (self.engine, self.full)
        )
        assert mine.equals(all_of), f"seed {self.seed}: first exposures"
        sensitive = self.draw.choice((None, self.metrics[0], self.metrics[0]))
        check = self.draw.random() < 0.3
        found = self.engine.variant_aggregates(scope, self.metrics, sensitive=sensitive, self_check=check, mode=mode)
        wanted = self.full.variant_aggregates(scope, self.metrics, sensitive=sensitive, self_check=check)
        self.counts[f"aggregates: {found.refresh.text}"] += 1
        self.counts["rows read"] += found.refresh.rows_read or 0
        self.counts["rows read by full refreshes"] += wanted.refresh.rows_read or 0
        differences = exposures.refresh.difference, found.refresh.difference
        assert differences == (None, None), f"seed {self.seed}"
        assert repr(found.rows.to_dicts()) == repr(wanted.rows.to_dicts()), f"seed {self.seed}: aggregates"

    def scope_now(self) -> AnalysisScope:
        """Return the scope of a refresh now."""
        window = Window(STARTED_AT, min(self.now, STARTED_AT + LENGTH))
        return replace(self.scope, window=window, data_version=len(self.ledger.committed))

    def _record(self) -> dict[str, object]:
        draw = self.draw
        who = draw.randrange(40)
        since = (self.now - self.seen_until) // MINUTE
        prompt = self.now - draw.randrange(max(1, since)) * MINUTE
        late = STARTED_AT + draw.randrange(-2 * 24 * 60, max(1, (self.now - STARTED_AT) // MINUTE)) * MINUTE
        ahead = self.now + draw.choice((0, 30, 600)) * MINUTE
        at = draw.choice((prompt, prompt, prompt, late, ahead))
        record: dict[str, object] = {
            "identifier": f"user-{who}",
            "timestamp": at.isoformat(timespec="milliseconds"),
            "traits": draw.choice(({"country": "DE"}, {"country": "AT"}, {"country": 5}, None)),
        }
        if draw.random() < 0.4:
            variant = ("control", "b", "h")[who % 3] if draw.random() < 0.95 else draw.choice(("control", "b", "x"))
            return record | {"event": EXPOSURE_EVENT, "feature_name": FEATURE, "value": variant}
        return record | {"event": draw.choice(NAMES), "value": draw.choice(VALUES)}

    def _metrics(self) -> tuple[Metric, ...]:
        statistics = self.draw.sample(TALLIED, self.draw.choice((1, 4, 8)))
        if self.draw.random() < 0.3:
            statistics.insert(self.draw.randrange(2), self.draw.choice(KEPT))
        return tuple(
            Metric(
                number,
                PROD,
                str(number),
                statistic,
                maturity=Maturity.COMPLETE
                if isinstance(statistic, Retention)
                or (isinstance(statistic, Mean) and statistic.measure.events.window.end and self.draw.random() < 0.5)
                else Maturity.ALL,
            )
            for number, statistic in enumerate(statistics, start=1)
        )

    def _scope(self) -> AnalysisScope:
        audience = self.draw.choice(
            (
                *[EVERYBODY] * 5,
                Audience(exclude_identifiers=("user-1", "user-2")),
                Audience(dimensions=(Dimension("country", "country"),)),
                Audience(entry=Events("view")),
                Audience(only=(GERMAN,)),
            )
        )
        policy = self.draw.choice((MultipleExposures.EXCLUDE, MultipleExposures.FIRST))
        variants = self.draw.choice((None, ("control", "b")))
        window = Window(STARTED_AT, STARTED_AT)
        return AnalysisScope(PARTITION, PROD, FEATURE, window, 0, policy, variants, audience=audience)

    def _engine(self, name: str, policy: RefreshPolicy) -> DuckDBWarehouse:
        return DuckDBWarehouse(self.connect, self.lake.event_files, ArtifactStore(self.folder / name), policy)


@contextmanager
def connect() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        yield opened
