"""Ticks that lie ahead are forgotten; those of the past stay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from experiment_pipeline.resources.dagster_instance import open_instance
from experiment_pipeline.resources.ticks import forget_ticks_ahead

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
BEFORE, AHEAD = (NOW - timedelta(minutes=1)).timestamp(), (NOW + timedelta(days=366)).timestamp()


def origin(name: str) -> RemoteInstigatorOrigin:
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="m"), location_name="m")
    return RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "r"), name)


def ticked(instance: dg.DagsterInstance, kind: InstigatorType, at: float) -> InstigatorState:
    """A sensor or a schedule that was evaluated at a moment."""
    data: SensorInstigatorData | ScheduleInstigatorData = (
        SensorInstigatorData(last_tick_timestamp=at, last_tick_start_timestamp=at, cursor="kept")
        if kind is InstigatorType.SENSOR
        else ScheduleInstigatorData("0 * * * *", start_timestamp=BEFORE, last_iteration_timestamp=at)
    )
    state = InstigatorState(origin(kind.value), kind, InstigatorStatus.RUNNING, data)
    instance.add_instigator_state(state)
    for moment in (BEFORE, at):
        instance.create_tick(
            TickData(
                instigator_origin_id=state.instigator_origin_id,
                instigator_name=kind.value,
                instigator_type=kind,
                status=TickStatus.SUCCESS,
                run_ids=["run"],
                timestamp=moment,
                selector_id=state.selector_id,
            )
        )
    return state


@pytest.mark.parametrize("kind", [InstigatorType.SENSOR, InstigatorType.SCHEDULE])
@pytest.mark.parametrize("ahead", [True, False])
def test_forget_ticks_ahead__of_a_clock_that_was_ahead__keeps_cursors_and_the_past(
    tmp_path: Path, kind: InstigatorType, ahead: bool
) -> None:
    with open_instance(tmp_path) as instance:
        before = ticked(instance, kind, AHEAD if ahead else BEFORE)
        assert forget_ticks_ahead(instance, NOW) == int(ahead)
        (state,) = instance.all_instigator_state()
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
        assert all(tick.timestamp <= NOW.timestamp() for tick in ticks)
        if not ahead:
            assert (state, len(ticks)) == (before, 2)
        elif isinstance(state.instigator_data, SensorInstigatorData):
            assert state.instigator_data == SensorInstigatorData(cursor="kept")
        else:
            assert state.instigator_data == ScheduleInstigatorData("0 * * * *", start_timestamp=BEFORE)
        assert forget_ticks_ahead(instance, NOW) == 0
