"""Phases by way of the real assets: each is what the reference says, and none touches another (rules X9-X11)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from experiment_pipeline.definitions import build
from experiment_pipeline.domain.drafts import VariantDraft
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.dagster_instance import RUN_KEY_TAG
from experiment_pipeline.resources.refresh_session import PHASE_TAG
from experiment_pipeline.schemas.manifests import parse_manifest
from experiment_pipeline.settings import Settings
from tests.assets.conftest import MANIFEST, STARTED_AT, Installation, exposure, purchase
from tests.automation.ticks import requests
from tests.properties.test_against_reference import assert_equal
from tests.reference.events import LandingObject
from tests.reference.exposures import Experiment, Variant
from tests.reference.inference import MINIMUM_CONVERSIONS, MINIMUM_IDENTITIES, MINIMUM_NONZERO
from tests.reference.metrics import Events, Mean, Measure, Metric
from tests.reference.payloads import payloads

RESTARTED_AT = STARTED_AT + timedelta(days=1)
PRE_PERIOD = """
metrics:
  paid:
    definition:
      {version: 2, statistic: mean, measure: {event: purchase, aggregation: sum}, covariate: {before: P14D}}
experiments:
  basket:
    hypothesis: It sells more.
    feature: basket
    status: running
    started_at: 2026-03-01T00:00:00Z
    variants: [{key: b, percentage_allocation: 50}]
    metrics: [{metric: paid, expected_direction: increase}]
"""


@pytest.fixture
def installation(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """Two running experiments, nothing landed yet, on each database of the registry."""
    settings = Settings(
        data_dir=tmp_path,
        registry_url=database_url,
        finality_grace=timedelta(0),
        landing_object_age=timedelta(0),
        minimum_identities=MINIMUM_IDENTITIES,
        minimum_conversions=MINIMUM_CONVERSIONS,
        minimum_nonzero=MINIMUM_NONZERO,
    )
    registry = Registry.open(settings.database_url)
    registry.manifests.apply(parse_manifest(MANIFEST), actor="test", now=datetime.now(UTC))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Installation(settings, registry, build(settings), instance)
    registry.close()


def records(hours: float, control: int, treatment: int) -> list[dict[str, Any]]:
    """Identities of each arm, seen at an hour, of whom every second buys; other calls have the same ones."""
    found = []
    for variant, size in (("control", control), ("b", treatment)):
        for number in range(size):
            found.append(exposure(f"user-{variant}-{number}", variant, hours))
            found += [purchase(f"user-{variant}-{number}", number % 7, hours + 1)] * (number % 2)
    return found


def restart(here: Installation, at: datetime = RESTARTED_AT, share: float = 20) -> None:
    here.registry.experiments.restart(here.experiment().id, (VariantDraft("b", share),), actor="test", now=at)


def land(here: Installation, name: str, lines: list[dict[str, Any]]) -> None:
    here.land(name, lines)
    here.ingest()


def landed(here: Installation) -> list[list[LandingObject]]:
    """All landing objects as the reference reads them, in one batch."""
    root = here.settings.landing_dir
    found = sorted(root.glob("events/**/*.jsonl"))
    return [
        [LandingObject(str(path.relative_to(root)), "prod", datetime.now(UTC), path.read_bytes()) for path in found]
    ]


def reference(here: Installation, phase: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both payloads of a phase, as the reference computes them from the files that landed."""
    experiment = here.experiment().in_phase(phase)
    bought, spent = (each.metric.id for each in experiment.metrics)
    as_of = here.registry.computations.get(experiment.id, Computation.RESULTS, phase).as_of
    assert experiment.started_at is not None
    assert as_of is not None
    described = Experiment(
        environment_key="prod",
        feature="checkout",
        variants=[Variant(v.key, v.role.value, v.percentage_allocation) for v in experiment.variants],
        metrics=[
            Metric(bought, Mean(Measure(Events("purchase"), "occurrence")), version=1),
            Metric(spent, Mean(Measure(Events("purchase"), "sum")), version=1),
        ],
        started_at=experiment.started_at,
        as_of=as_of,
        data_version=1,
        earlier_phases=[(each.started_at, each.ended_at) for each in experiment.earlier_phases],
    )
    return payloads(landed(here), described)


def published(here: Installation, computation: Computation = Computation.RESULTS, phase: int | None = None) -> Any:
    """The payload of a phase, by default of the newest."""
    return here.registry.computations.get(here.experiment().id, computation, phase).payload


def assert_is_the_reference(here: Installation, phase: int) -> None:
    exposures, results = (published(here, each, phase) for each in Computation)
    wanted_exposures, wanted_results = reference(here, phase)
    assert exposures == wanted_exposures
    assert_equal(results, wanted_results)


def execute(here: Installation, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """Execute a run that a sensor requested, as the daemon's process does."""
    job = here.definitions.resolve_job_def(request.job_name or "refresh_experiment")
    tags = {**request.tags, RUN_KEY_TAG: request.run_key or ""}
    return job.execute_in_process(
        instance=here.instance, partition_key=request.partition_key, tags=tags, run_config=request.run_config or None
    )


def of_checkout(here: Installation) -> list[dg.RunRequest]:
    """The requests for the experiment; the other one is left alone."""
    return [
        each for each in requests(here) if here.experiment().partition_key in str((each.partition_key, each.run_config))
    ]


def newest_metadata(here: Installation, asset: str) -> dict[str, Any]:
    """The metadata of the materialisation that stands for the partition."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[here.experiment().partition_key])
    (record,) = here.instance.fetch_materializations(wanted, limit=1).records
    materialisation = record.asset_materialization
    assert materialisation is not None
    return {name: value.value for name, value in materialisation.metadata.items()}


def everything(here: Installation, phase: int) -> list[Any]:
    """All that the registry and the artifacts hold of a phase."""
    number = here.experiment().id
    stored = here.settings.artifacts_dir.glob(
        f"*/{here.experiment().partition_key}{'' if phase == 1 else '.2'}.parquet"
    )
    return [
        *(here.registry.computations.get(number, each, phase) for each in Computation),
        here.registry.live_stats.get(number, phase),
        here.registry.health.get(number, phase),
        here.registry.looks.list(number, phase),
        {path: path.read_bytes() for path in sorted(stored)},
    ]


def test_phases__each_with_its_own_window_and_shares__are_the_reference_s__x9_x10(installation: Installation) -> None:
    land(installation, "first", records(1, 130, 120))
    restart(installation)
    land(installation, "second", records(30, 160, 40))
    installation.refresh()
    execute(installation, ended_request(installation))
    for phase in (1, 2):
        assert_is_the_reference(installation, phase)
    number = installation.experiment().id
    finality = (installation.registry.computations.get(number, Computation.RESULTS, each).is_final for each in (1, 2))
    assert list(finality) == [True, False]
    first, second = (published(installation, phase=each) for each in (1, 2))
    assert first["srm"]["expected_shares"] == {"control": 0.5, "b": 0.5}
    assert second["srm"]["expected_shares"] == {"control": 0.8, "b": 0.2}
    assert (first["phase"], first["earlier_phases"], first["look"]["number"]) == (1, 0, 1)
    assert (second["phase"], second["earlier_phases"], second["look"]["number"]) == (2, 1, 1)
    live = installation.registry.live_stats.get(number)
    assert live is not None
    assert live.payload["phase"] == 2


def ended_request(here: Installation) -> dg.RunRequest:
    """The run that the sensor requests for the phase that has ended: beside the partition's own runs."""
    (request,) = of_checkout(here)
    assert request.job_name == "refresh_experiments"
    config = request.run_config["ops"]["refresh_several"]["config"]
    assert config["phases"][here.experiment().partition_key] == 1
    return request


def test_last_refresh__of_an_ended_phase__touches_nothing_of_the_running_one__x9(installation: Installation) -> None:
    land(installation, "first", records(1, 130, 120))
    restart(installation)
    land(installation, "second", records(30, 160, 40))
    installation.refresh()
    before = everything(installation, 2)
    shown = newest_metadata(installation, "experiment_results")
    assert execute(installation, ended_request(installation)).success
    assert everything(installation, 2) == before
    assert newest_metadata(installation, "experiment_results") == shown, "the partition shows the running phase"
    assert installation.registry.computations.get(installation.experiment().id, Computation.RESULTS, 1).is_final
    assert of_checkout(installation) == [], "nothing else is due"
    ended = everything(installation, 1)
    land(installation, "late", records(2, 200, 200))
    installation.refresh()
    assert everything(installation, 1)[:2] == ended[:2], "final, whatever comes"
    assert everything(installation, 1)[5] == ended[5]


def test_restart__during_a_refresh__leaves_the_run_in_its_phase(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(installation, "first", records(1, 130, 120))
    installation.registry.claims.create(
        installation.experiment().id, Computation.RESULTS, ClaimSource.API, datetime.now(UTC), timedelta(0)
    )
    (request,) = of_checkout(installation)
    assert request.tags[PHASE_TAG] == "1"
    publish, now = type(installation.registry.computations).publish, datetime.now(UTC)

    def restart_and_publish(self: Any, publication: Any) -> Any:
        if publication.computation is Computation.EXPOSURES:
            restart(installation, now)
        return publish(self, publication)

    monkeypatch.setattr(type(installation.registry.computations), "publish", restart_and_publish)
    assert execute(installation, request).success
    monkeypatch.undo()
    for computation in Computation:
        assert published(installation, computation, 1)["phase"] == 1
        assert published(installation, computation) is None
    installation.refresh()
    assert published(installation)["phase"] == 2
    assert published(installation)["srm"]["identities"] == {"control": 0, "b": 0}, "nothing of phase 1 counts"


def test_finding__of_identities_that_saw_another_variant_before__has_their_share__x11(
    installation: Installation,
) -> None:
    land(installation, "first", records(1, 130, 120))
    restart(installation)
    moved = [exposure(f"user-b-{number}", "control", 30) for number in range(30)]
    stayed = [exposure(f"user-b-{number}", "b", 30) for number in range(30, 100)]
    new = [exposure(f"new-{number}", "control", 30) for number in range(100)]
    land(installation, "second", [*moved, *stayed, *new])
    installation.refresh()
    stored = installation.registry.health.get(installation.experiment().id)
    assert stored is not None
    (found,) = (each for each in stored.findings if each["check"] == "same_variant_in_every_phase")
    assert (found["code"], found["severity"]) == ("another_variant_in_earlier_phase", "warning")
    assert found["evidence"] == {"earlier_phases": 1, "identities": 30, "share": 0.15}
    (outside,) = (each for each in stored.findings if each["check"] == "exposures_in_window")
    assert outside["severity"] == "ok", "those before the start are of the phase before"


def test_pre_period__that_reaches_into_an_earlier_phase__is_refused_with_that_reason__x11(
    installation: Installation,
) -> None:
    installation.registry.manifests.apply(parse_manifest(PRE_PERIOD), actor="test", now=datetime.now(UTC))
    events, again = (
        [{**each, "feature_name": "basket"} if "feature_name" in each else each for each in records(hours, 300, 300)]
        for hours in (1, 30)
    )
    bought = [
        purchase(f"user-{variant}-{number}", 1 + number % 7, hours)
        for variant in ("control", "b")
        for number in range(300)
        for hours in (-5, 2)
    ]
    land(installation, "first", [*events, *bought, *again])
    installation.refresh("basket")
    basket = installation.experiment("basket")
    assert adjusted(installation, basket.id)["reason"] is None
    installation.registry.experiments.restart(basket.id, actor="test", now=RESTARTED_AT)
    installation.refresh("basket")
    assert adjusted(installation, basket.id) == {
        **dict.fromkeys(("effect", "inference", "standard_error", "variance_reduction")),
        "reason": "covariate_overlaps_earlier_phase",
    }


def adjusted(here: Installation, experiment_id: int) -> Any:
    """The adjusted reading of its treatment."""
    payload: Any = here.registry.computations.get(experiment_id, Computation.RESULTS).payload
    (metric,) = payload["metrics"]
    assert (metric["decided_by"]["b"] == "plain") is (metric["adjusted"]["b"]["effect"] is None)
    return metric["adjusted"]["b"]


def test_ended_phase__of_an_experiment_that_is_completed_meanwhile__becomes_final_too(
    installation: Installation,
) -> None:
    land(installation, "first", records(1, 130, 120))
    restart(installation)
    number = installation.experiment().id
    installation.registry.experiments.transition(
        number, ExperimentStatus.COMPLETED, actor="test", now=datetime.now(UTC)
    )
    installation.ingest()
    for _ in range(2):  # one phase of an experiment at a time
        for request in of_checkout(installation):
            assert execute(installation, request).success
    for phase in (1, 2):
        for computation in Computation:
            assert installation.registry.computations.get(number, computation, phase).is_final
