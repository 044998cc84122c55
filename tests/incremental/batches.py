"""Random histories of several experiments in one lake, refreshed in batches that share their scans (rules N8, X5).

The experiments have flags, windows, metrics and audiences of their own. Each refresh of a batch must have what an
engine has that computes one experiment alone and reads everything, bit by bit.
"""

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

from typing_extensions import override

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.exposures import Window
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.warehouse.base import WantedAggregates
from experiment_pipeline.warehouse.refreshes import RefreshMode
from tests.incremental.histories import DAY, HOUR, LENGTH, STARTED_AT, History

FEATURES = ("checkout", "banner", "search")
EXPERIMENTS = 4


class BatchHistory(History):
    """Several experiments in one lake; every choice is drawn from the seed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.experiments = [self._experiment(number) for number in range(EXPERIMENTS)]

    @override
    def refresh_and_compare(self) -> None:
        """Refresh some of the experiments in one batch, and each alone."""
        chosen = self.draw.sample(self.experiments, self.draw.choice((2, 3, EXPERIMENTS, EXPERIMENTS)))
        wanted = [self.wanted(scope, metrics) for scope, metrics in chosen]
        for each in wanted:
            self.engine.write_first_exposures(each.scope, each.mode)
            self.full.write_first_exposures(each.scope)
        with ExitStack() as batch:
            shared = batch.enter_context(self.engine.sharing(wanted))
            for each in wanted:
                sensitive, check = self.draw.choice((None, each.metrics[0])), self.draw.random() < 0.3
                found, alone = (
                    engine.variant_aggregates(
                        each.scope, each.metrics, sensitive=sensitive, self_check=check, mode=mode
                    )
                    for engine, mode in ((shared, each.mode), (self.full, RefreshMode.FULL))
                )
                told = f"seed {self.seed}, {each.scope.partition_key}: aggregates"
                assert repr(found.rows.to_dicts()) == repr(alone.rows.to_dicts()), told
                assert found.refresh.difference is None, told
                if found.refresh.full_because is not None:
                    assert found.refresh.rows_read == alone.refresh.rows_read, told
                how = "full" if found.refresh.full_because else "incremental"
                self.counts[f"{how}, {'alone' if found.refresh.shared is None else 'shared'}"] += 1

    def wanted(self, scope: AnalysisScope, metrics: tuple[Metric, ...]) -> WantedAggregates:
        """Return what is asked for now: runs of a batch begin one after the other, and a batch may land between."""
        now = self.now + self.draw.randrange(3) * timedelta(minutes=1)
        as_of = max(scope.window.started_at, min(now, STARTED_AT + LENGTH))
        version = max(0, len(self.ledger.committed) - (self.draw.random() < 0.1))
        audited = now > STARTED_AT + LENGTH + DAY
        mode = RefreshMode.AUDITED if audited else self.draw.choice((*[RefreshMode.INCREMENTAL] * 6, RefreshMode.FULL))
        of_now = replace(scope, window=Window(scope.window.started_at, as_of), data_version=version)
        return WantedAggregates(of_now, metrics, mode)

    def _experiment(self, number: int) -> tuple[AnalysisScope, tuple[Metric, ...]]:
        feature = self.draw.choice(FEATURES)
        started_at = STARTED_AT + self.draw.choice((0, 0, 5, 30)) * HOUR
        window, key = Window(started_at, started_at), f"{feature}-{number}"
        return replace(self._scope(), partition_key=key, feature=feature, window=window), self._metrics()

    @override
    def _record(self) -> dict[str, object]:
        record = super()._record()
        return record | {"feature_name": self.draw.choice(FEATURES)} if record["event"] == EXPOSURE_EVENT else record
