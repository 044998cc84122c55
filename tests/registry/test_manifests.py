"""Declaring from a file: idempotent, all or nothing, errors that name entry and field."""

from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.drafts import VariantDraft
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.refresh import ClaimSource, Computation, Publication, RefreshRun
from experiment_pipeline.errors import ConfigurationError, Conflict, Superseded
from experiment_pipeline.registry.manifests import Difference
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.schemas.manifests import parse_manifest
from tests.registry.conftest import ACTOR, NOW, draft

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


def apply(
    registry: Registry, text: str, *, dry_run: bool = False, resume: bool = False, strict: bool = False
) -> list[Difference]:
    return registry.manifests.apply(
        parse_manifest(text), actor=ACTOR, now=NOW, dry_run=dry_run, resume=resume, strict=strict
    )


def move(registry: Registry, *steps: ExperimentStatus) -> None:
    """Take the experiment `checkout` through these steps by hand."""
    found = registry.experiments.find("production", "checkout")
    for step in steps:
        registry.experiments.transition(found.id, step, actor=ACTOR, now=NOW)


def delete(registry: Registry) -> int:
    """Delete the experiment `checkout`, and return its id."""
    move(registry, ExperimentStatus.PAUSED)
    found = registry.experiments.find("production", "checkout")
    registry.experiments.delete(found.id, actor=ACTOR, now=NOW)
    return found.id


def look_of(run: RefreshRun, exposed: int) -> Publication:
    """The exposures of a run, so many identities."""
    points = [{"bucket": "2026-03-02T12:00:00Z", "new_identities": {"control": exposed}}] if exposed else []
    payload = {"excluded_identities": 0, "timeseries": {"granularity": "hour", "points": points}}
    return Publication(run, Computation.EXPOSURES, payload, "1", NOW + timedelta(minutes=1), timedelta(0))


def publish(registry: Registry, exposed: int) -> None:
    """Publish a look of the experiment `checkout` that counts so many identities."""
    found = registry.experiments.find("production", "checkout")
    run = registry.runs.open(found.id, f"run-{found.id}", NOW + timedelta(minutes=1), timedelta(minutes=5))
    registry.computations.publish(look_of(run, exposed))
    registry.runs.release_lease(run)


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


ENVIRONMENT = "environments: {production: {}}"
VERSION_2 = """
metrics:
  revenue:
    unit: EUR
    definition:
      version: 2
      statistic: mean
      measure: {event: purchase, aggregation: sum, where: [{field: value, is: 1}], cap: {percentile: 99}}
"""


def test_apply__changed_definition_of_version_2__tells_the_fields_that_changed(registry: Registry) -> None:
    apply(registry, ENVIRONMENT + VERSION_2)
    changed = VERSION_2.replace("is: 1", "is: true").replace("percentile: 99", "percentile: 99.5, of_nonzero: true")
    assert apply(registry, ENVIRONMENT + changed.replace("unit: EUR", "description: Money"), dry_run=True) == [
        Difference(
            "change",
            "metric production/revenue",
            {
                "definition.measure.where.0.is": (1, True),
                "definition.measure.cap.percentile": (99, 99.5),
                "definition.measure.cap.of_nonzero": (None, True),
                "description": ("", "Money"),
                "unit": ("EUR", ""),
            },
        )
    ]
    measures = "numerator: {event: a, aggregation: sum}, denominator: {event: b, aggregation: count}"
    definition = f"{{version: 2, statistic: ratio, {measures}}}"
    other = VERSION_2[: VERSION_2.index("definition:")] + f"definition: {definition}"
    (difference,) = apply(registry, ENVIRONMENT + other)
    assert list(difference.fields) == [
        "definition.statistic", "definition.measure", "definition.numerator", "definition.denominator",
    ]  # fmt: skip
    assert apply(registry, ENVIRONMENT + other) == []


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
        ("metric: purchase", "metric: purchse", "experiments.checkout.metrics.0.metric: No metric 'purchse' in "
         "environment 'production'. Did you mean 'purchase'?"),
        ("metrics: [{", "metrics: [{metric: purchase, expected_direction: increase}, {",
         "experiments.checkout.metrics.1.metric: The metric 'purchase' is attached already, further up in the list."),
        ("percentage_allocation: 50", "percentage_allocation: 100",
         "experiments.checkout.variants: They take 100 % of the traffic, and no variant is the control that the others "
         "are compared with. Give one of them the key 'control', as the flag sends it, or leave a part of the traffic "
         "to control."),
        ("    feature: checkout_button", "    environment: prodction\n    feature: checkout_button",
         "experiments.checkout.environment: No environment 'prodction'. Did you mean 'production'?"),
        ("version: 1", "version: 3", "metrics.purchase.definition: Definition must specify a supported 'version'."),
        ("version: 1", "version: 2", "metrics.purchase.definition.statistic: This field is required: 'mean', 'ratio',"),
        ("version: 1", "version: 2", "metrics.purchase.window: Belongs to version 1. In version 2 it is a part of the"),
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
    with pytest.raises(ConfigurationError) as refused:
        apply(registry, again)
    assert str(refused.value) == (
        "experiments.checkout2.feature: An active experiment already exists for this feature. 'checkout' has the flag "
        "'checkout_button' and is running: complete or delete it first, or leave this one out."
    )


def test_apply__in_the_future_of_now__is_not_possible(registry: Registry) -> None:
    started = (NOW + timedelta(seconds=1)).isoformat()
    late = MANIFEST.replace("status: running", f"status: running\n    started_at: {started}")
    with pytest.raises(ConfigurationError, match="started_at: Must not lie in the future"):
        apply(registry, late)


PAUSED, COMPLETED, RUNNING = ExperimentStatus.PAUSED, ExperimentStatus.COMPLETED, ExperimentStatus.RUNNING


@pytest.mark.parametrize(
    ("steps", "stated", "note"),
    [
        ([PAUSED], "running", "stays paused, although the file says running. --resume resumes it."),
        ([PAUSED], "created", "stays paused, although the file says created."),
        ([COMPLETED], "running", "stays completed, although the file says running."),
        ([COMPLETED], "paused", "stays completed, although the file says paused."),
        ([], "created", "stays running, although the file says created."),
    ],
)
def test_apply__experiment_that_is_further_than_the_file_says__stays_with_a_line(
    registry: Registry, steps: list[ExperimentStatus], stated: str, note: str
) -> None:
    apply(registry, MANIFEST)
    move(registry, *steps)
    before = registry.experiments.find("production", "checkout")
    text = MANIFEST.replace("status: running", f"status: {stated}")
    assert apply(registry, text) == [Difference("keep", "experiment production/checkout", {}, (note,))]
    with pytest.raises(ConfigurationError) as refused:
        apply(registry, text, strict=True)
    assert list(refused.value.errors) == ["experiments.checkout.status"]
    assert f"It is {before.status} already, and the file says {stated}." in str(refused.value)
    assert registry.experiments.find("production", "checkout") == before


def test_apply__paused_by_hand__is_resumed_on_request_alone(registry: Registry) -> None:
    apply(registry, MANIFEST)
    move(registry, PAUSED)
    (difference,) = apply(registry, MANIFEST, resume=True)
    assert difference.fields == {"status": ("paused", "running")}
    assert difference.notes == ()


def test_apply__completed_by_hand__is_not_resumed(registry: Registry) -> None:
    apply(registry, MANIFEST)
    move(registry, COMPLETED)
    assert [each.action for each in apply(registry, MANIFEST, resume=True)] == ["keep"]


def test_apply__design_that_is_probably_not_meant__is_applied_with_a_warning(registry: Registry) -> None:
    text = MANIFEST.replace("expected_direction: increase", "expected_direction: decrease").replace(
        "    status: running", "    design: {mde: 1.5, baseline: 0.1}\n    status: running"
    )
    *_, checkout = apply(registry, text)
    assert [note.partition(": ")[2].partition(":")[0] for note in checkout.notes] == [
        "metrics.0.expected_direction",
        "design.mde",
    ]
    assert all(note.startswith("warning: ") for note in checkout.notes)
    assert apply(registry, text) == []


NO_ENVIRONMENTS = MANIFEST.replace("environments:\n  production: {name: Production}\n", "")


def test_apply__without_environments__uses_the_only_one(registry: Registry) -> None:
    assert "environments" not in NO_ENVIRONMENTS
    assert apply(registry, NO_ENVIRONMENTS)[0].subject == "metric production/purchase"


def test_apply__without_environments_and_with_several__asks_for_one(registry: Registry) -> None:
    registry.environments.create("staging", "Staging", actor=ACTOR, now=NOW)
    with pytest.raises(ConfigurationError) as refused:
        apply(registry, NO_ENVIRONMENTS)
    assert refused.value.errors["metrics.purchase.environment"] == [
        "This field is required: name one of production, staging."
    ]


def test_apply__environment_without_a_name__keeps_the_name_that_it_has(registry: Registry) -> None:
    assert apply(registry, "environments: {production: {}}") == []
    assert registry.environments.get("production").name == "Production"


def test_apply__treatments_that_take_everything_in_an_experiment_that_runs__do_not_refuse_the_file(
    registry: Registry,
) -> None:
    created = registry.experiments.create(
        "production", draft(key="old", variants=(VariantDraft("b", 100.0),)), actor=ACTOR, now=NOW
    )
    registry.experiments.transition(created.id, RUNNING, actor=ACTOR, now=NOW)
    text = (
        "experiments: {old: {name: checkout_button, hypothesis: h, feature: checkout_button, "
        "variants: [{key: b, percentage_allocation: 100}]}}"
    )
    (difference,) = apply(registry, text)
    assert difference.fields == {"hypothesis": ("", "h")}


EARLIER = MANIFEST.replace("    status: running", "    status: running\n    started_at: 2026-03-01T00:00:00Z")


def test_apply__start_before_anybody_was_counted__is_moved_audited_and_computed_anew(registry: Registry) -> None:
    apply(registry, MANIFEST)
    publish(registry, exposed=0)
    (difference,) = apply(registry, EARLIER)
    assert difference.fields == {"started_at": ("2026-03-02T12:00:00Z", "2026-03-01T00:00:00Z")}
    found = registry.experiments.find("production", "checkout")
    assert found.started_at == datetime(2026, 3, 1, tzinfo=UTC)
    (line, *_) = registry.audit.list("production", subject=f"experiment:{found.id}")
    assert line.action == "move_start"
    claimed = [(claim.computation, claim.source) for claim in registry.claims.list_waiting(found.id)]
    assert {(computation, ClaimSource.SCHEDULE) for computation in Computation} <= set(claimed)
    assert apply(registry, EARLIER) == []


def test_apply__start_that_is_moved_while_a_run_computes__keeps_that_run_from_publishing(registry: Registry) -> None:
    apply(registry, MANIFEST)
    found = registry.experiments.find("production", "checkout")
    run = registry.runs.open(found.id, "run", NOW + timedelta(minutes=1), timedelta(minutes=5))
    apply(registry, EARLIER)
    with pytest.raises(Superseded):
        registry.computations.publish(look_of(run, exposed=0))


def test_apply__start_after_somebody_was_counted__stays(registry: Registry) -> None:
    apply(registry, MANIFEST)
    publish(registry, exposed=1)
    before = registry.experiments.list()
    with pytest.raises(ConfigurationError) as refused:
        apply(registry, EARLIER)
    assert str(refused.value) == (
        "experiments.checkout.started_at: Cannot be changed: it is 2026-03-02T12:00:00+00:00, "
        "and results that count identities were published since."
    )
    assert registry.experiments.list() == before


def test_apply__start_after_the_end__is_refused(registry: Registry) -> None:
    apply(registry, MANIFEST)
    started = "started_at: 2026-01-01T00:00:00+01:00\n    ended_at: 2026-02-01T00:00:00.123456Z"
    assert started in MANIFEST
    with pytest.raises(ConfigurationError, match=r"^experiments\.previous\.started_at: Must lie before the end\.$"):
        apply(registry, MANIFEST.replace(started, "started_at: 2026-02-02T00:00:00Z"))


def test_apply__key_of_a_deleted_experiment__is_used_again_until_somebody_was_counted(registry: Registry) -> None:
    apply(registry, MANIFEST)
    publish(registry, exposed=0)
    first = delete(registry)
    (created,) = apply(registry, MANIFEST)
    assert (created.action, created.subject) == ("create", "experiment production/checkout")
    again = registry.experiments.find("production", "checkout")
    assert again.id > first
    assert again.partition_key == f"checkout-{again.id}"
    publish(registry, exposed=1)
    delete(registry)
    with pytest.raises(ConfigurationError) as refused:
        apply(registry, MANIFEST)
    assert str(refused.value) == (
        "experiments.checkout.key: An experiment with the key 'checkout' already exists or existed in this "
        "environment. Choose another: an experiment of this key was deleted after results that count identities were "
        "published."
    )


def test_create__key_of_a_deleted_experiment__is_never_used_again_without_apply(registry: Registry) -> None:
    apply(registry, MANIFEST)
    delete(registry)
    with pytest.raises(Conflict, match="'checkout'"):
        registry.experiments.create("production", draft("other", key="checkout"), actor=ACTOR, now=NOW)
    made = registry.experiments.create("production", draft("third", name="Checkout"), actor=ACTOR, now=NOW)
    assert made.key == "checkout-2"


def test_apply__ignored_variants_of_a_running_experiment__are_changed__l3(registry: Registry) -> None:
    apply(registry, MANIFEST)
    ignoring = MANIFEST.replace(
        "    status: running", "    ignored_variants: [tester, larger_button]\n    status: running"
    )
    (difference,) = apply(registry, ignoring)
    assert difference.fields == {"ignored_variants": ([], ["tester", "larger_button"])}
    assert registry.experiments.find("production", "checkout").ignored_variants == ("tester", "larger_button")
    (back,) = apply(registry, MANIFEST)
    assert back.fields == {"ignored_variants": (["tester", "larger_button"], [])}


SOURCES = """
connections: {shop: {url_env: SHOP_DATABASE_URL}}
sources:
  orders: {files: /exports/*.csv, as: {event: purchased, identifier: user_id, timestamp: created_at}}
  assignments:
    connection: shop
    query: select * from assignments
    as: {feature: button, variant: arm, identifier: user_id, timestamp: assigned_at}
"""


def test_apply__sources__show_field_by_field_what_changes(registry: Registry) -> None:
    created = apply(registry, SOURCES)
    assert [(each.action, each.subject) for each in created] == [
        ("create", "connection shop"),
        ("create", "source production/orders"),
        ("create", "source production/assignments"),
    ]
    assert apply(registry, SOURCES) == []
    changed = SOURCES.replace("purchased", "bought").replace("SHOP_DATABASE_URL", "SHOP_URL")
    connection, source = apply(registry, changed, dry_run=True)
    assert connection.fields == {"url_env": ("SHOP_DATABASE_URL", "SHOP_URL")}
    assert source.fields.keys() == {"version", "as"}
    assert source.fields["version"] == (1, 2)
    assert registry.sources.find("orders").version == 1


def test_apply__source_without_its_connection__names_entry_and_field(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r"^sources\.assignments\.connection: No connection 'shop'"):
        apply(registry, SOURCES.replace("{shop: {url_env: SHOP_DATABASE_URL}}", "{}"))
