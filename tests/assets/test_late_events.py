"""Events that come after results are final are counted in health, once, and change nothing else (rule R6)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.health.late_events import CHECK
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.resources.dagster_instance import newest_evaluation
from tests.assets.conftest import STARTED_AT, Installation, crowd, exposure, purchase
from tests.assets.faults import vacuumed, with_faults
from tests.assets.test_events import told

LATE_EXPOSURES = [exposure(f"late-{number}", "b", hours=3) for number in range(3)]
LATE_PURCHASES = [purchase(f"late-{number}", 10, hours=4) for number in range(2)]
OTHERS = [
    exposure("early", "b", hours=-1),
    exposure("other-flag", "b", feature="other"),
    purchase("other-event", 10) | {"event": "signup"},
]


@pytest.fixture
def ended(installation: Installation) -> Installation:
    """An experiment that has ended and is not computed yet, all that landed being in the lake."""
    installation.land("first", crowd(20, 20))
    installation.ingest()
    complete(installation, "checkout")
    installation.ingest()
    return installation


@pytest.fixture
def final(ended: Installation) -> Installation:
    """The same with final results, and a banner that runs on."""
    assert ended.refresh().success
    assert ended.state().is_final
    return ended


def complete(installation: Installation, key: str) -> None:
    experiment = installation.experiment(key)
    now = datetime.now(UTC)
    installation.registry.experiments.transition(experiment.id, ExperimentStatus.COMPLETED, actor="test", now=now)


def counted(installation: Installation, key: str = "checkout") -> tuple[int, int]:
    """The late exposures and events of metrics of the stored finding."""
    stored = installation.registry.health.get(installation.experiment(key).id)
    assert stored is not None
    (evidence,) = (finding["evidence"] for finding in stored.findings if finding["check"] == CHECK.name)
    return evidence["exposures"], evidence["metric_events"]


def after_end(installation: Installation) -> dict[str, Any]:
    ended_at = installation.experiment().ended_at
    assert ended_at is not None
    return exposure("after", "b", hours=(ended_at - STARTED_AT) / timedelta(hours=1))


def ingest_without_counting(installation: Installation) -> None:
    """As an ingestion does that is killed once its batch is in the lake."""
    settings = installation.settings
    ingest(Lake(settings.lake_dir), installation.registry.batches, settings.landing_dir, datetime.now(UTC))


def newest_outcome(installation: Installation) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(dg.AssetKey(CHECK.artifact), CHECK.name)
    newest = newest_evaluation(installation.instance, key, installation.partition())
    assert newest is not None
    return newest


def land_late(installation: Installation, name: str, records: Iterable[dict[str, Any]]) -> None:
    installation.land(name, list(records))
    installation.ingest()


def test_late_events__of_final_results__are_counted_and_change_nothing_else(final: Installation) -> None:
    before, stored = final.state(), final.registry.health.get(final.experiment().id)
    assert stored is not None
    assert (counted(final), newest_outcome(final).passed) == ((0, 0), True)
    land_late(final, "late", [*LATE_EXPOSURES, *LATE_PURCHASES, *OTHERS, after_end(final), *crowd(20, 20)])
    assert counted(final) == (3, 2)
    assert not newest_outcome(final).passed
    assert told(final, "late_for") == [final.partition()]
    assert final.state() == before
    now = final.registry.health.get(final.experiment().id)
    assert now is not None
    assert (now.as_of, now.data_version) == (stored.as_of, stored.data_version)
    assert [each["check"] for each in now.findings] == [each["check"] for each in stored.findings]
    assert final.refresh().success  # of what is final, an observation: Dagster keeps the newest outcome
    assert not newest_outcome(final).passed


@pytest.mark.slow
def test_late_events__delivered_twice__count_once(final: Installation) -> None:
    land_late(final, "late", LATE_EXPOSURES)
    land_late(final, "again", [*LATE_EXPOSURES, *LATE_PURCHASES])
    assert counted(final) == (3, 2)
    assert "3 exposures of the flag and 2 events" in (newest_outcome(final).description or "")
    final.ingest()
    assert counted(final) == (3, 2)
    assert told(final, "late_for") == []


@pytest.mark.slow
def test_late_events__of_batches_whose_ingestion_was_killed__are_counted_by_the_next_one(final: Installation) -> None:
    land_late(final, "late", LATE_EXPOSURES[:1])
    for number, record in enumerate((*LATE_EXPOSURES[1:], *LATE_PURCHASES)):
        final.land(f"killed-{number}", [record])
        ingest_without_counting(final)
    assert compact(Lake(final.settings.lake_dir), datetime.now(UTC), whole=True)
    assert counted(final) == (1, 0)
    final.ingest()
    assert counted(final) == (3, 2)
    assert compact(Lake(final.settings.lake_dir), datetime.now(UTC), whole=True) == []
    final.ingest()
    assert counted(final) == (3, 2)


@pytest.mark.slow
def test_late_events__that_came_while_the_last_refresh_ran__are_counted(ended: Installation) -> None:
    def arrives_meanwhile() -> Exception:
        ended.land("meanwhile", LATE_EXPOSURES)
        ingest_without_counting(ended)
        return vacuumed()  # the engine fails once, and the run goes on at its data version

    with_faults(ended).add("variant_aggregates", ended.partition(), arrives_meanwhile)
    assert ended.refresh().success
    assert ended.state().is_final
    assert counted(ended) == (0, 0)
    ended.ingest()
    assert counted(ended) == (3, 0)


@pytest.mark.slow
def test_late_events__of_several_experiments__are_each_their_own(final: Installation) -> None:
    land_late(final, "late", LATE_EXPOSURES)
    complete(final, "banner")
    final.ingest()
    assert final.refresh("banner").success
    assert counted(final, "banner") == (0, 0)
    land_late(final, "both", [*LATE_PURCHASES, exposure("banner-1", "b", feature="banner")])
    assert (counted(final), counted(final, "banner")) == ((3, 2), (1, 2))


@pytest.mark.slow
def test_late_events__before_the_results_are_final__are_no_late_events(installation: Installation) -> None:
    installation.land("first", crowd(20, 20))
    installation.ingest()
    assert installation.refresh().success
    land_late(installation, "more", LATE_EXPOSURES)
    assert counted(installation) == (0, 0)
    assert installation.refresh().success
    assert counted(installation) == (0, 0)
    assert told(installation, "late_for") == []
