"""Replays of published looks: equal to the last bit after whatever has happened since (rule R10)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.errors import ConfigurationError, NotFound, NotStarted
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.replay.replay import MOST_STEPS, Replayer, moments
from experiment_pipeline.warehouse.artifacts import ArtifactStore
from experiment_pipeline.warehouse.duckdb.warehouse import DuckDBWarehouse
from tests.assets.conftest import STARTED_AT, Installation, copied, crowd, declared, exposure, purchase
from tests.replay.conftest import change_look

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def lake_of(installation: Installation) -> Lake:
    settings = installation.settings
    return Lake(settings.lake_dir, memory_limit="512MiB", threads=2, spill_dir=settings.spill_dir)


def replayer(installation: Installation, folder: Path) -> Replayer:
    lake = lake_of(installation)
    engine = DuckDBWarehouse(lake.connect, lake.event_files, ArtifactStore(folder / "replayed"))
    return Replayer(installation.registry, engine, installation.experiment(), Floors.of(installation.settings))


@pytest.fixture(scope="module")
def two_looks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every test's installation is copied from."""
    folder = tmp_path_factory.mktemp("two-looks")
    late = [purchase("b-39", 10), purchase("control-0", 1), exposure("b-0", "control", hours=3), exposure("new", "b")]
    with declared(folder) as made:
        for name, records in (("first", crowd(60, 40)), ("late", late)):
            made.land(name, records)
            made.ingest()
            made.refresh()
    return folder


@pytest.fixture
def looked(tmp_path: Path, two_looks: Path) -> Iterator[Installation]:
    """Two looks: the second one with late events, a quarantined identity and a new one."""
    with copied(two_looks, tmp_path) as copy:
        yield copy


def test_look__replayed__equals_what_was_published(looked: Installation, tmp_path: Path) -> None:
    replayed = [replayer(looked, tmp_path).look(number) for number in (1, 2)]
    for each in replayed:
        assert (each.differences, each.not_compared, each.code_changed) == ((), (), False)
        assert json.loads(json.dumps(each.payload)) == each.look.payload
    first, second = (each.payload["look"]["restated"] for each in replayed)
    assert (first and first["late_events"], second and second["late_events"]) == (0, 4)


def test_look__replayed_after_further_batches_a_compaction_and_the_end__equals_what_was_published(
    looked: Installation, tmp_path: Path
) -> None:
    looked.land("later", [purchase(f"control-{number}", 7) for number in range(60)])
    looked.ingest()
    lake = lake_of(looked)
    compact(lake, datetime.now(UTC), whole=True)
    lake.vacuum(timedelta(0))
    looked.registry.experiments.transition(
        looked.experiment().id, ExperimentStatus.COMPLETED, actor="test", now=datetime.now(UTC)
    )
    looked.refresh()
    assert looked.experiment().ended_at is not None
    replays = replayer(looked, tmp_path)
    assert [replays.look(number).differences for number in (1, 2, 3)] == [(), (), ()]


def test_look__that_was_changed_since__differs_there(looked: Installation, tmp_path: Path) -> None:
    changed = looked.registry.looks.get(looked.experiment().id, 2)
    payload = json.loads(json.dumps(changed.payload))
    payload["metrics"][0]["variants"]["b"]["n"] += 1
    change_look(looked, 2, payload)
    replayed = replayer(looked, tmp_path).look(2)
    assert [each.path for each in replayed.differences] == ["metrics[0].variants.b.n"]
    assert not replayed.is_equal


def test_look__of_an_older_version__is_compared_without_its_decision(looked: Installation, tmp_path: Path) -> None:
    look = looked.registry.looks.get(looked.experiment().id, 1)
    older = {name: member for name, member in look.payload.items() if name != "health"}
    change_look(looked, 1, older, code_version="older")
    replayed = replayer(looked, tmp_path).look(1)
    assert replayed.code_changed
    assert replayed.not_compared == ("decision",)
    assert replayed.differences == ()


def test_look__leaves_what_is_published_and_stored(looked: Installation, tmp_path: Path) -> None:
    before, artifacts = looked.state(), sorted(looked.settings.artifacts_dir.rglob("*.parquet"))
    stamps = [path.stat().st_mtime_ns for path in artifacts]
    replayer(looked, tmp_path).look(1)
    assert looked.state() == before
    assert [path.stat().st_mtime_ns for path in artifacts] == stamps


def test_look__that_does_not_exist__is_refused(looked: Installation, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No look 3: there are 1 to 2"):
        replayer(looked, tmp_path).look(3)


def test_moment__of_an_earlier_data_version__counts_what_was_there(looked: Installation, tmp_path: Path) -> None:
    replays, now = replayer(looked, tmp_path), datetime.now(UTC)
    before, after = (replays.moment(now, version) for version in (1, 2))
    assert before.results["srm"]["identities"] == {"control": 60, "b": 40}
    assert after.results["srm"]["identities"] == {"control": 60, "b": 40}  # b-0 is excluded, and `new` came
    assert (before.exposures["excluded_identities"], after.exposures["excluded_identities"]) == (0, 1)
    with pytest.raises(NotStarted, match="had not started at 2026-02-28"):
        replays.moment(STARTED_AT - DAY, 2)


def test_steps__count_events_by_when_they_happened(looked: Installation, tmp_path: Path) -> None:
    steps = list(replayer(looked, tmp_path).steps(HOUR, STARTED_AT + 4 * HOUR, data_version=2))
    assert [each.as_of for each in steps] == [STARTED_AT + number * HOUR for number in (1, 2, 3, 4)]
    assert [sum(each.results["srm"]["identities"].values()) for each in steps] == [0, 101, 101, 100]
    assert [each.exposures["excluded_identities"] for each in steps] == [0, 0, 0, 1]


def test_moments__end_with_the_last_one() -> None:
    assert moments(STARTED_AT, STARTED_AT + 2 * DAY + HOUR, DAY) == [
        STARTED_AT + DAY,
        STARTED_AT + 2 * DAY,
        STARTED_AT + 2 * DAY + HOUR,
    ]
    assert moments(STARTED_AT, STARTED_AT + DAY, DAY) == [STARTED_AT + DAY]
    assert len(moments(STARTED_AT, STARTED_AT + MOST_STEPS * HOUR, HOUR)) == MOST_STEPS


@pytest.mark.parametrize("every", [timedelta(0), timedelta(minutes=59)])
def test_moments__of_too_short_a_step__are_refused(every: timedelta) -> None:
    with pytest.raises(ConfigurationError, match=r"--every: Must be longer: from .* more than 1,000 looks"):
        moments(STARTED_AT, STARTED_AT + MOST_STEPS * HOUR, every)
