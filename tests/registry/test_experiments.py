"""Experiments in the registry: declared, changed, started, completed, deleted, listed (rules L1-L6)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from experiment_pipeline.domain.audience import EVERYBODY, Audience, Dimension
from experiment_pipeline.domain.definition_forms import ConditionForm, EventsForm
from experiment_pipeline.domain.drafts import AttachmentDraft, MetricDraft, VariantDraft
from experiment_pipeline.domain.experiments import Design, Experiment, ExperimentStatus, Prior, Variant, VariantRole
from experiment_pipeline.domain.measures import Aggregation, Condition, Events, Operator
from experiment_pipeline.domain.metrics import ExpectedDirection, Metric
from experiment_pipeline.domain.refresh import ClaimSource, Computation
from experiment_pipeline.errors import ConfigurationError, Conflict, InvalidTransition, NotAllowed, NotFound
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

RUNNING, PAUSED, COMPLETED = ExperimentStatus.RUNNING, ExperimentStatus.PAUSED, ExperimentStatus.COMPLETED


def create(registry: Registry, feature: str = "checkout_button", **changes: object) -> Experiment:
    return registry.experiments.create("production", draft(feature, **changes), actor=ACTOR, now=NOW)


def move(registry: Registry, experiment: Experiment, *steps: ExperimentStatus) -> Experiment:
    for step in steps:
        experiment = registry.experiments.transition(experiment.id, step, actor=ACTOR, now=NOW + HOUR)
    return experiment


@pytest.fixture
def metric(registry: Registry) -> Metric:
    wanted = MetricDraft("purchase", {"version": 1, "event": "purchase"}, Aggregation.OCCURRENCE)
    return registry.metrics.create("production", wanted, actor=ACTOR, now=NOW)


def test_create__minimal_draft__gets_control_key_and_computations(registry: Registry) -> None:
    created = create(registry, name="Größerer Knopf: 2. Versuch")
    assert created.key == "gr-erer-knopf-2-versuch"
    assert created.partition_key == f"{created.key}-{created.id}"
    assert created.variants == (
        Variant("control", VariantRole.CONTROL, 50.0),
        Variant("treatment", VariantRole.TREATMENT, 50.0),
    )
    assert (created.status, created.created_at, created.started_at) == (ExperimentStatus.CREATED, NOW, None)
    assert [registry.computations.get(created.id, each).payload for each in Computation] == [None, None]


AUDIENCE: dict[str, Any] = {
    "dimensions": (Dimension("country", "country"), Dimension("device", "device.kind")),
    "cross": (("country", "device"),),
    "entry": EventsForm("opened", (ConditionForm("metadata.page", within=("a", "b")),)),
    "only": (ConditionForm("traits.version", at_least=1),),
    "exclude_identifiers": ("staff",),
    "post_stratify": "country",
}
PRIOR = Prior(mean=0.02, standard_deviation=0.05)


def test_create__audience__is_kept_audited_and_frozen_at_the_start(registry: Registry) -> None:
    created = create(registry, **AUDIENCE)
    assert created.audience == Audience(
        (Condition("traits.version", Operator.AT_LEAST, 1),),
        ("staff",),
        Events("opened", (Condition("metadata.page", Operator.IN, ("a", "b")),)),
        AUDIENCE["dimensions"],
        AUDIENCE["cross"],
    )
    assert registry.experiments.get(created.id) == created
    assert registry.experiments.change(created.id, lambda now: now, actor=ACTOR, now=NOW) == created
    (line,) = registry.audit.list("production", subject=f"experiment:{created.id}")
    assert line.after is not None
    assert line.after["audience"]["only"] == [{"field": "traits.version", "at_least": 1}]
    everybody = {"dimensions": (), "cross": (), "entry": None, "only": (), "exclude_identifiers": ()}
    wanted = {**everybody, "post_stratify": None}
    assert changed(registry, created, **wanted).audience == EVERYBODY
    again = changed(registry, created, **AUDIENCE)
    move(registry, again, RUNNING)
    with pytest.raises(ConfigurationError) as refused:
        changed(registry, again, **wanted)
    assert set(refused.value.errors) == set(AUDIENCE)


def test_create__prior__is_kept_audited_and_frozen_at_the_start__l3(registry: Registry) -> None:
    created = create(registry, prior=PRIOR)
    assert registry.experiments.get(created.id).prior == created.prior == PRIOR
    assert create(registry, "another").prior is None
    (line,) = registry.audit.list("production", subject=f"experiment:{created.id}")
    assert line.after is not None
    assert line.after["prior"] == {"mean": 0.02, "standard_deviation": 0.05}
    assert changed(registry, created, name="New").prior == PRIOR, "a change starts from it"
    assert changed(registry, created, prior=None).prior is None
    again = changed(registry, created, prior=PRIOR)
    move(registry, again, RUNNING)
    for other in (None, replace(PRIOR, mean=0.03)):
        with pytest.raises(ConfigurationError) as refused:
            changed(registry, again, prior=other)
        assert set(refused.value.errors) == {"prior"}


def changed(registry: Registry, experiment: Experiment, **fields: Any) -> Experiment:
    return registry.experiments.change(experiment.id, lambda now: replace(now, **fields), actor=ACTOR, now=NOW)


def test_create__read_back__is_the_same_by_id_key_and_partition(registry: Registry, metric: Metric) -> None:
    created = create(
        registry,
        key="Checkout_1",
        hypothesis="Line one\nline two",
        metrics=(AttachmentDraft(metric.id, ExpectedDirection.INCREASE),),
        design=Design(alpha=0.01, mde=0.02, n_looks=4, baseline=0.1),
    )
    assert created == registry.experiments.get(created.id)
    assert created == registry.experiments.get_by_partition(f"Checkout_1-{created.id}")
    for name in (created.id, str(created.id), "Checkout_1"):
        assert registry.experiments.find("production", name) == created


def test_create__keys_made_from_one_name__are_numbered(registry: Registry) -> None:
    assert [create(registry, f"f{n}", name="Same").key for n in range(3)] == ["same", "same-2", "same-3"]


def test_create__key_of_another_or_of_a_deleted_one__is_a_conflict(registry: Registry) -> None:
    registry.experiments.delete(create(registry, "a", key="taken").id, actor=ACTOR, now=NOW)
    with pytest.raises(Conflict, match="'taken'"):
        create(registry, "b", key="taken")


def test_create__active_feature__is_a_conflict_until_completed_or_deleted(registry: Registry) -> None:
    for _ in range(2):
        current = create(registry)
        with pytest.raises(Conflict, match=r"^An active experiment already exists for this feature\.$"):
            create(registry)
        move(registry, current, RUNNING, COMPLETED)
    registry.experiments.delete(create(registry).id, actor=ACTOR, now=NOW)
    create(registry)


def test_create__unknown_environment__is_not_found(registry: Registry) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        registry.experiments.create("nowhere", draft(), actor=ACTOR, now=NOW)


def test_create__two_at_once_for_one_feature__one_wins_and_the_other_conflicts(registry: Registry) -> None:
    def try_to_create(number: int) -> str:
        try:
            create(registry, key=f"key-{number}")
        except Conflict as conflict:
            return str(conflict)
        return "created"

    with ThreadPoolExecutor(8) as threads:
        answers = sorted(threads.map(try_to_create, range(8)))
    assert answers == ["An active experiment already exists for this feature."] * 7 + ["created"]


@pytest.mark.parametrize("reference", [404, 2**40, "unknown", "elsewhere"])
def test_create__metric_that_is_not_of_the_environment__is_refused(registry: Registry, reference: int | str) -> None:
    registry.environments.create("staging", "Staging", actor=ACTOR, now=NOW)
    elsewhere = MetricDraft("elsewhere", {"version": 1, "event": "e"}, Aggregation.COUNT)
    registry.metrics.create("staging", elsewhere, actor=ACTOR, now=NOW)
    with pytest.raises(ConfigurationError) as refused:
        create(registry, metrics=(AttachmentDraft(reference, ExpectedDirection.INCREASE),))
    assert refused.value.errors == {"metrics.0.metric": ["Metric must belong to this environment."]}


def test_create__metric_attached_twice__is_refused(registry: Registry, metric: Metric) -> None:
    twice = tuple(AttachmentDraft(name, ExpectedDirection.INCREASE) for name in (metric.id, "purchase"))
    with pytest.raises(ConfigurationError) as refused:
        create(registry, metrics=twice)
    assert refused.value.errors == {"metrics.1.metric": ["Metric is already attached to this experiment."]}


def test_change__before_the_start__everything_but_key_and_feature(registry: Registry, metric: Metric) -> None:
    created = create(registry)
    changed = registry.experiments.change(
        created.id,
        lambda now: replace(
            now,
            name="New",
            variants=(VariantDraft("a", 20.0), VariantDraft("b", 30.0)),
            metrics=(AttachmentDraft("purchase", ExpectedDirection.NOT_DECREASE),),
        ),
        actor=ACTOR,
        now=NOW + MINUTE,
    )
    assert changed == registry.experiments.get(created.id)
    assert [(v.key, v.percentage_allocation) for v in changed.variants] == [("control", 50), ("a", 20), ("b", 30)]
    assert [attached.metric for attached in changed.metrics] == [metric]
    assert (changed.name, changed.updated_at) == ("New", NOW + MINUTE)
    with pytest.raises(ConfigurationError) as refused:
        registry.experiments.change(
            created.id, lambda now: replace(now, key="other", feature="other"), actor=ACTOR, now=NOW
        )
    assert refused.value.errors == {
        "feature": ["The feature cannot be changed."],
        "key": ["The key cannot be changed."],
    }


def test_change__after_the_start__name_and_hypothesis_alone(registry: Registry, running: Experiment) -> None:
    changed = registry.experiments.change(
        running.id, lambda now: replace(now, name="New", hypothesis="Other"), actor=ACTOR, now=NOW
    )
    assert (changed.name, changed.hypothesis) == ("New", "Other")
    with pytest.raises(ConfigurationError) as refused:
        registry.experiments.change(
            running.id,
            lambda now: replace(now, variants=(VariantDraft("treatment", 40.0),), design=Design(alpha=0.1)),
            actor=ACTOR,
            now=NOW,
        )
    frozen = "Cannot be changed after the experiment has started."
    assert refused.value.errors == {
        "variants": [f"{frozen} A restart begins a new phase with other allocations."],
        "design": [frozen],
    }
    assert registry.experiments.get(running.id) == changed


def test_transition__through_its_life__keeps_the_first_start(registry: Registry) -> None:
    created = create(registry)
    started = registry.experiments.transition(created.id, RUNNING, actor=ACTOR, now=NOW)
    resumed = move(registry, started, PAUSED, RUNNING)
    assert resumed.started_at == started.started_at == NOW
    ended = move(registry, resumed, COMPLETED)
    assert (ended.status, ended.ended_at) == (COMPLETED, NOW + HOUR)
    with pytest.raises(InvalidTransition, match=r"^Cannot transition from 'completed' to 'running'\.$"):
        move(registry, ended, RUNNING)


def test_transition__completion__claims_a_last_refresh(registry: Registry, running: Experiment) -> None:
    move(registry, running, COMPLETED)
    claims = registry.claims.list_waiting(running.id)
    assert {(claim.computation, claim.source) for claim in claims} == {
        (computation, ClaimSource.COMPLETION) for computation in Computation
    }


def test_delete__running__is_refused_and_paused_disappears(registry: Registry, running: Experiment) -> None:
    with pytest.raises(NotAllowed, match=r"^Cannot delete a running experiment\. Pause or complete it first\.$"):
        registry.experiments.delete(running.id, actor=ACTOR, now=NOW)
    move(registry, running, PAUSED)
    registry.experiments.delete(running.id, actor=ACTOR, now=NOW)
    assert registry.experiments.list("production") == []
    with pytest.raises(NotFound):
        registry.experiments.get(running.id)
    with pytest.raises(NotFound):
        registry.experiments.get_by_partition(running.partition_key)


def test_list__filters_search_and_pages(registry: Registry) -> None:
    for number, feature in enumerate(["Ärger", "banner_100%", "button"]):
        registry.experiments.create("production", draft(feature), actor=ACTOR, now=NOW + number * MINUTE)
    first = registry.experiments.find("production", "rger")
    move(registry, first, RUNNING)
    listed = registry.experiments.list("production")
    assert [each.feature for each in listed] == ["button", "banner_100%", "Ärger"]
    assert registry.experiments.list("production", limit=1, offset=1) == listed[1:2]
    assert [e.feature for e in registry.experiments.list(search="ärg")] == ["Ärger"]
    assert [e.feature for e in registry.experiments.list(search="0%")] == ["banner_100%"]
    assert registry.experiments.list(search="_00") == []
    assert [e.id for e in registry.experiments.list(statuses=[RUNNING, PAUSED])] == [first.id]
    assert registry.experiments.list("staging") == []
    counts = registry.experiments.status_counts("production", search="b")
    assert counts == {status: 2 if status is ExperimentStatus.CREATED else 0 for status in ExperimentStatus}


def test_find__of_another_environment__is_not_found(registry: Registry, running: Experiment) -> None:
    registry.environments.create("staging", "Staging", actor=ACTOR, now=NOW)
    for name in (running.id, running.key, str(running.id), "9" * 50, "٣"):
        with pytest.raises(NotFound):
            registry.experiments.find("staging", name)
