"""Declaring from a file: idempotent, all or nothing, errors that name entry and field."""

from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.registry.manifests import Difference
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.schemas.manifests import parse_manifest
from tests.registry.conftest import ACTOR, NOW

MANIFEST = """
environments:
  production: {name: Production}
metrics:
  purchase: {aggregation: occurrence, definition: {version: 1, event: purchase}, window: P7D}
experiments:
  checkout:
    hypothesis: A larger button sells more.
    feature: checkout_button
    variants: [{key: larger, percentage_allocation: 50}]
    metrics: [{metric: purchase, expected_direction: increase}]
    status: running
  previous:
    name: The one before
    hypothesis: So does a green one.
    feature: checkout_button
    variants: [{key: green, percentage_allocation: 30}, {key: out, percentage_allocation: 10, role: holdout}]
    status: completed
    started_at: 2026-01-01T00:00:00+01:00
    ended_at: 2026-02-01T00:00:00.123456Z
"""


def apply(registry: Registry, text: str, *, dry_run: bool = False) -> list[Difference]:
    return registry.manifests.apply(parse_manifest(text), actor=ACTOR, now=NOW, dry_run=dry_run)


def test_apply__twice__declares_once(registry: Registry) -> None:
    created = apply(registry, MANIFEST)
    assert [(each.action, each.subject) for each in created] == [
        ("create", "metric production/purchase"),
        ("create", "experiment production/previous"),
        ("create", "experiment production/checkout"),
    ]
    assert apply(registry, MANIFEST) == []


def test_apply__past_experiment__has_its_own_dates(registry: Registry) -> None:
    apply(registry, MANIFEST)
    previous = registry.experiments.find("production", "previous")
    assert previous.status is ExperimentStatus.COMPLETED
    assert previous.started_at == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert previous.ended_at == datetime(2026, 2, 1, microsecond=123_000, tzinfo=UTC)
    assert registry.experiments.find("production", "checkout").started_at == NOW


def test_apply__dry_run__tells_and_changes_nothing(registry: Registry) -> None:
    assert len(apply(registry, MANIFEST, dry_run=True)) == 3
    assert registry.experiments.list() == []


def test_apply__changed_file__tells_what_was_and_what_is(registry: Registry) -> None:
    apply(registry, MANIFEST)
    changed = MANIFEST.replace("status: running", "status: paused").replace("sells more", "sells")
    assert apply(registry, changed) == [
        Difference(
            "change",
            "experiment production/checkout",
            {
                "hypothesis": ("A larger button sells more.", "A larger button sells."),
                "status": ("running", "paused"),
            },
        )
    ]


def test_apply__renamed_environment__keeps_everything_else(registry: Registry) -> None:
    apply(registry, MANIFEST)
    (difference,) = apply(registry, MANIFEST.replace("{name: Production}", "{name: Live}"))
    assert difference == Difference("change", "environment production", {"name": ("Production", "Live")})
    assert registry.environments.list()[0].name == "Live"
    log = registry.audit.list("production", subject="environment:production")[::-1]
    assert [line.action for line in log] == ["create", "change"]


def test_apply__without_a_status__leaves_the_status(registry: Registry) -> None:
    apply(registry, MANIFEST)
    assert apply(registry, MANIFEST.replace("    status: running\n", "")) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("key: larger, percentage_allocation: 50", "key: '', percentage_allocation: 120",
         "experiments.checkout.variants.0.percentage_allocation: Must be a number from 0 to 100."),
        ("key: larger", 'key: "a\\nb"', "experiments.checkout.variants.0.key: Must not hold control characters."),
        ("metric: purchase", "metric: sale", "experiments.checkout.metrics.0.metric: Metric must belong to this"),
        ("version: 1", "version: 2", "metrics.purchase.definition: Definition must specify a supported 'version'."),
        ("ended_at: 2026-02-01", "ended_at: 2046-02-01", "experiments.previous.ended_at: Must not lie in the future."),
        ("ended_at: 2026-02-01", "ended_at: 2025-02-01", "experiments.previous.ended_at: Must lie after started_at."),
        ("    status: running", "    started_at: 2026-01-01T00:00:00Z", "experiments.checkout.started_at: Needs a"),
        ("status: completed", "status: paused", "experiments.previous.ended_at: Needs the status completed."),
    ],
)  # fmt: skip
def test_apply__broken_rule__names_entry_and_field_and_changes_nothing(
    registry: Registry, old: str, new: str, message: str
) -> None:
    assert old in MANIFEST
    with pytest.raises(ConfigurationError) as refused:
        apply(registry, MANIFEST.replace(old, new, 1))
    assert message in str(refused.value)
    assert registry.experiments.list() == []
    assert registry.metrics.list("production") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("percentage_allocation: 50", "percentage_allocation: 40",
         "experiments.checkout.variants: Cannot be changed after the experiment has started."),
        ("status: running", "status: created",
         "experiments.checkout.status: Cannot transition from 'running' to 'created'."),
        ("status: running", "status: running\n    started_at: 2026-01-01T00:00:00Z",
         "experiments.checkout.started_at: Cannot be changed: it is 2026-03-02T12:00:00+00:00."),
        ("event: purchase}", "event: other}", "metrics.purchase.definition: Cannot be changed: the metric is attached"),
    ],
)  # fmt: skip
def test_apply__change_of_what_is_frozen__is_refused(registry: Registry, old: str, new: str, message: str) -> None:
    apply(registry, MANIFEST)
    before = registry.experiments.list()
    with pytest.raises(ConfigurationError) as refused:
        apply(registry, MANIFEST.replace(old, new, 1))
    assert str(refused.value).startswith(message)
    assert registry.experiments.list() == before


def test_apply__second_active_experiment_for_a_feature__is_refused(registry: Registry) -> None:
    apply(registry, MANIFEST)
    again = MANIFEST.replace("  checkout:", "  checkout2:")
    with pytest.raises(ConfigurationError, match=r"^experiments\.checkout2: An active experiment already exists"):
        apply(registry, again)


def test_apply__in_the_future_of_now__is_not_possible(registry: Registry) -> None:
    started = (NOW + timedelta(seconds=1)).isoformat()
    late = MANIFEST.replace("status: running", f"status: running\n    started_at: {started}")
    with pytest.raises(ConfigurationError, match="started_at: Must not lie in the future"):
        apply(registry, late)
