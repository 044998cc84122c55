"""The outbox of the tables of looks: what is published waits, until the batch that it belongs to is closed."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.registry.table_outbox import TableOutbox
from tests.registry.conftest import MINUTE, NOW
from tests.registry.test_looks import publish


def waiting(outbox: TableOutbox) -> int:
    return outbox.state().waiting


def test_outbox__batch__has_what_was_published_before_it_and_later_looks_wait(
    registry: Registry, running: Experiment
) -> None:
    outbox = registry.table_outbox
    assert outbox.plan(NOW) is None
    assert outbox.state().has_published is False
    publish(registry, running, 1)
    first = outbox.plan(NOW)
    assert first is not None
    assert (first.number, first.is_rebuild) == (1, False)
    publish(registry, running, 1)
    assert outbox.plan(NOW + MINUTE) == first, "an open batch is finished first"
    assert [(look.number, look.is_new, look.is_final) for look in outbox.due_looks(first)] == [(1, True, False)]
    assert outbox.close(first, NOW)
    assert not outbox.close(first, NOW)
    second = outbox.plan(NOW + MINUTE)
    assert second is not None
    assert second.number == 2
    assert [look.number for look in outbox.due_looks(second)] == [2]
    assert waiting(outbox) == 2
    outbox.close(second, NOW)
    assert waiting(outbox) == 0


def test_outbox__rebuild__takes_the_place_of_an_open_batch_and_has_every_look(
    registry: Registry, running: Experiment
) -> None:
    outbox = registry.table_outbox
    publish(registry, running, 1)
    replaced = outbox.plan(NOW)
    assert replaced is not None
    rebuild = outbox.plan(NOW, rebuild=True, above=7)
    assert rebuild is not None
    assert (rebuild.number, rebuild.is_rebuild) == (8, True)
    publish(registry, running, 2)
    assert [look.number for look in outbox.due_looks(rebuild)] == [1]
    assert not outbox.close(replaced, NOW)
    assert waiting(outbox) == 6
    assert outbox.close(rebuild, NOW)
    assert waiting(outbox) == 4
    outbox.forget_batches()
    assert outbox.state().newest is None


def test_outbox__planned_by_two_at_once__is_one_batch(registry: Registry, running: Experiment) -> None:
    publish(registry, running, 2)
    barrier = Barrier(2)

    def plan(_: int) -> object:
        barrier.wait()
        return registry.table_outbox.plan(NOW)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(plan, range(2))
    assert first == second
    assert first is not None
