"""Copying a registry to another database: every row, exactly once, whatever happens in between."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import func, insert, select, text

from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.delivered_records import EnvironmentCounts
from experiment_pipeline.domain.experiments import ExperimentStatus
from experiment_pipeline.domain.notification_targets import TargetDraft
from experiment_pipeline.domain.notifications import NotificationEvent, Occurrence, TargetKind
from experiment_pipeline.domain.refresh import ClaimSource, Computation, Publication
from experiment_pipeline.domain.source_ranges import SourceFile, SourceRange
from experiment_pipeline.domain.sources import ConnectionDraft
from experiment_pipeline.errors import Conflict
from experiment_pipeline.registry import copying, tables
from experiment_pipeline.registry.copying import copy_registry, require_copyable, summarise
from experiment_pipeline.registry.engine import is_current, open_engine, reading, writing
from experiment_pipeline.registry.refresh_costs import RefreshCost
from experiment_pipeline.registry.registry import Registry
from tests.conftest import MakeDatabase
from tests.domain.test_sources import OF_DATABASE
from tests.registry.conftest import ACTOR, HOUR, MINUTE, NOW, draft

WAYS = [
    pytest.param(each, id="-".join(each), marks=() if each == ("sqlite", "postgresql") else pytest.mark.slow)
    for each in product(("sqlite", "postgresql"), repeat=2)
]
PAYLOAD = {"b": 0.1, "a": [1.0, 1e-9, None, "Größe \U0001f600 \\ ' \""], "large": 2**60}


def fill(registry: Registry, experiments: int = 3) -> None:
    """Rows in every table, text and numbers that are easily changed, and numbers that were used and are free again."""
    registry.environments.create("production", "Größe", actor=ACTOR, now=NOW)
    for number in range(experiments):
        created = registry.experiments.create("production", draft(f"feature-{number}"), actor=ACTOR, now=NOW)
        registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)
        run = registry.runs.open(created.id, f"run-{number}", NOW + MINUTE, HOUR)
        for computation in Computation:
            registry.computations.publish(
                Publication(
                    run,
                    computation,
                    PAYLOAD,
                    "0123456789ab",
                    NOW + MINUTE,
                    HOUR,
                    timedelta(seconds=0.1),
                    [PAYLOAD],
                    live_stats=PAYLOAD,
                    sql="select 1",
                )
            )
        registry.refresh_costs.add(created.id, RefreshCost("first_exposures", 1, 0, 5, 0.5, 70))
    registry.table_outbox.plan(NOW + MINUTE)
    registry.experiments.restart(experiments, actor=ACTOR, now=NOW + HOUR)
    registry.claims.create(1, Computation.RESULTS, ClaimSource.API, NOW + 2 * MINUTE, MINUTE)
    registry.claims.delete_closed(NOW + HOUR)
    registry.keys.create("production", Scope.READ, "reader", actor=ACTOR, now=NOW)
    for name in ("first", "second"):
        landed = LandedObject(
            name=f"env_key=production/{name}.jsonl", environment_key="production", landed_at=NOW, bytes=5
        )
        number = registry.batches.plan_batch([landed], NOW).number
        if name == "first":
            registry.batches.commit_batch(
                number,
                accepted=1,
                duplicates=0,
                rejected={"not_json": 1},
                problems={landed.name: "empty"},
                by_environment={"production": EnvironmentCounts(accepted=1, duplicates=0, rejected={}, retried={})},
                now=NOW,
            )
    registry.connections.declare("shop", ConnectionDraft(url_env="SHOP_DATABASE_URL"), actor=ACTOR, now=NOW)
    for draft_of_source in (OF_DATABASE, replace(OF_DATABASE, timezone="UTC")):
        registry.sources.declare("orders", "production", draft_of_source, actor=ACTOR, now=NOW)
    files = (SourceFile("/exports/größe.csv", 2**40, NOW), SourceFile("/exports/2.csv", 0, NOW))
    registry.source_ranges.plan(SourceRange("orders", 1, 1, "v1-1-abc", NOW, "1", "2", files))
    target = TargetDraft(TargetKind.APPRISE, url_env="CHAT_URL")
    registry.notification_targets.declare("chat", target, actor=ACTOR, now=NOW)
    told = Occurrence(NotificationEvent.EXPERIMENT_FINAL, "final", {"trustworthy": None})
    registry.notifications.write(1, 1, [told], now=NOW)
    erasure = registry.erasures.begin("production", "größe", NOW)
    registry.erasures.begin_object(erasure, "env_key=production/first.jsonl", size=5, becomes=0)
    registry.erasures.record_exposure(erasure, experiment_id=1, phase=1, now=NOW)
    registry.batches.bind("the lake's id", NOW)
    registry.batches.record_scan(NOW)
    with writing(registry.engine) as connection:  # what the stores have no need of, and a table may hold
        values = {"id": 90, "expected_direction": "increase", "experiment_id": 1, "position": 0}
        metric = {
            "environment_key": "production", "name": "m", "description": "", "aggregation": "count", "direction": "up",
            "definition": {"version": 1, "event": "e"}, "created_at": NOW, "updated_at": NOW,
        }  # fmt: skip
        metric_id = connection.execute(insert(tables.metrics).values(metric)).inserted_primary_key
        assert metric_id is not None
        connection.execute(insert(tables.attachments).values(values | {"metric_id": metric_id[0]}))
        measured = {
            "metric_id": metric_id[0], "experiment_id": 1, "source": "preview", "measured_at": NOW, "started_at": NOW,
            "as_of": NOW, "data_version": 1, "identities": 2**40, "definition": {"version": 1}, "cap": 0.1,
            "statistic": {"aggregate": {"n": 3, "mean": 0.1, "m2": 1 / 3}, "pre_period": None},
        }  # fmt: skip
        connection.execute(insert(tables.metric_measurements).values(measured))
        look = {
            "experiment_id": 1, "metric_id": metric_id[0], "treatment": "b", "number": 1, "as_of": NOW,
            "information_fraction": 0.1, "boundary": None, "z": 1 / 3, "crossed": False,
        }  # fmt: skip
        connection.execute(insert(tables.planned_looks).values(look))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Iterator[tuple[Registry, str]]:
    """A filled registry and the URL of an empty database."""
    source, target = request.param
    registry = Registry.open(make_database(source))
    fill(registry)
    yield registry, make_database(target)
    registry.close()


@pytest.fixture
def pair(make_database: MakeDatabase) -> Iterator[tuple[Registry, str]]:
    """A filled registry and the URL of an empty database, both SQLite."""
    registry = Registry.open(make_database("sqlite"))
    fill(registry)
    yield registry, make_database("sqlite")
    registry.close()


def test_copy__in_any_direction__has_every_row_and_goes_on_with_the_same_numbers(way: tuple[Registry, str]) -> None:
    source, url = way
    before = summarise(source.engine)
    assert all(each.rows for each in before), before
    engine = open_engine(url)
    copied = Counter[str]()
    assert copy_registry(source.engine, engine, lambda name, rows: copied.update({name: rows})) == before
    assert copied == {each.name: each.rows for each in before}
    engine.dispose()
    assert summarise(source.engine) == before
    target = Registry.open(url)
    assert target.is_current()
    assert summarise(target.engine) == before
    for registry in (source, target):  # JSON as it is stored, and no value where there is none
        with reading(registry.engine) as connection:
            nothing = connection.scalar(select(func.count()).where(tables.batches.c.rejected.is_(None)))
            stored = connection.scalars(text("SELECT CAST(payload AS TEXT) FROM payloads")).all()
        assert nothing == 1
        assert len(set(stored)) == 1
        assert stored[0].startswith('{"b":0.1,"a":[1.0,1e-09,null,')
    next_ids = [
        (
            registry.claims.create(2, Computation.EXPOSURES, ClaimSource.SCHEDULE, NOW + HOUR, MINUTE).id,
            registry.experiments.create("production", draft("another"), actor=ACTOR, now=NOW).id,
        )
        for registry in (source, target)
    ]
    assert next_ids[0] == next_ids[1]
    assert next_ids[0][0] > 2, "numbers of deleted claims are not used again"
    target.close()


class Interrupted(Exception):
    pass


@pytest.mark.slow
def test_copy__interrupted_after_any_batch__goes_on_and_cannot_be_opened_meanwhile(
    way: tuple[Registry, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, url = way
    monkeypatch.setattr(copying, "BATCH_ROWS", 2)
    engine, before = open_engine(url), summarise(source.engine)
    steps = at = 0

    def interrupt(_name: str, _rows: int) -> None:
        nonlocal steps
        steps += 1
        if steps == at:
            raise Interrupted

    while True:
        steps, at = 0, at + 1
        try:
            copy_registry(source.engine, engine, interrupt)
        except Interrupted:
            assert not is_current(engine)
            with pytest.raises(Conflict, match="unfinished copy"):
                Registry.open(url)
            assert require_copyable(source.engine, engine) is True
        else:
            break
    assert at > len(before)
    assert summarise(engine) == before
    engine.dispose()


def test_copy__to_what_is_not_empty__is_refused_and_changes_nothing(pair: tuple[Registry, str]) -> None:
    source, url = pair
    engine = open_engine(url)
    copy_registry(source.engine, engine)
    before = summarise(engine)
    for target in (engine, source.engine):
        with pytest.raises(Conflict, match="holds this registry already"):
            copy_registry(source.engine, target)
    with writing(source.engine) as connection:  # as another installation's first record
        connection.execute(tables.audit_log.update().where(tables.audit_log.c.id == 1).values(actor="somebody else"))
    with pytest.raises(Conflict, match="holds the registry of another installation"):
        copy_registry(source.engine, engine)
    assert summarise(engine) == before
    engine.dispose()


def test_copy__to_an_unfinished_copy_of_another_registry__is_refused(pair: tuple[Registry, str]) -> None:
    source, url = pair
    engine = open_engine(url)

    def interrupt(_name: str, _rows: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        copy_registry(source.engine, engine, interrupt)
    with writing(source.engine) as connection:
        connection.execute(tables.audit_log.update().where(tables.audit_log.c.id == 1).values(actor="somebody else"))
    with pytest.raises(Conflict, match="unfinished copy of another registry"):
        copy_registry(source.engine, engine)
    engine.dispose()


def test_copy__to_a_database_with_a_table_of_this_name__is_refused(pair: tuple[Registry, str]) -> None:
    source, url = pair
    engine = open_engine(url)
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE metrics (id INTEGER)"))
    with pytest.raises(Conflict, match="has a table metrics, which is no registry's"):
        copy_registry(source.engine, engine)
    engine.dispose()


def test_copy__to_a_registry_without_a_row__is_made(pair: tuple[Registry, str]) -> None:
    source, url = pair
    Registry.open(url).close()
    engine = open_engine(url)
    assert copy_registry(source.engine, engine) == summarise(engine)
    engine.dispose()


def test_copy__of_a_registry_that_is_changed_meanwhile__is_refused_and_stays_unfinished(
    pair: tuple[Registry, str],
) -> None:
    source, url = pair
    engine = open_engine(url)

    def change(name: str, _rows: int) -> None:
        if name == "environments":
            source.environments.create("staging", "Staging", actor="a process that still runs", now=NOW)

    with pytest.raises(Conflict, match="the registry was changed meanwhile") as told:
        copy_registry(source.engine, engine, change)
    differing = str(told.value).removeprefix("The copy differs in ").partition(":")[0]
    assert set(differing.split(", ")) == {"audit_log", "environments"}
    assert "Stop every process" in str(told.value)
    assert not is_current(engine)
    engine.dispose()


def test_copy__of_a_transaction__is_of_its_moment(pair: tuple[Registry, str]) -> None:
    source, url = pair
    engine = open_engine(url)
    with reading(source.engine) as snapshot:
        before = summarise(snapshot)
        source.environments.create("staging", "Staging", actor=ACTOR, now=NOW)
        assert copy_registry(snapshot, engine) == before
    assert summarise(engine) == before
    engine.dispose()
