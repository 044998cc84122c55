"""Ticks of Dagster's daemon: those that lie ahead, told by a clock that was set right later, are forgotten.

Dagster evaluates no sensor within its interval of the last tick, and no schedule before it: a tick of next year would
stop both for a year.
"""

from datetime import datetime
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, ScheduleInstigatorData, SensorInstigatorData

from experiment_pipeline.times import CLOCK_TOLERANCE

TIMESTAMPS: dict[type[object], tuple[str, ...]] = {
    SensorInstigatorData: (
        "last_tick_timestamp",
        "last_tick_start_timestamp",
        "last_sensor_start_timestamp",
        "last_tick_success_timestamp",
    ),
    ScheduleInstigatorData: ("start_timestamp", "last_iteration_timestamp"),
}


def forget_ticks_ahead(instance: dg.DagsterInstance, now: datetime) -> int:
    """Forget the ticks of sensors and schedules that lie ahead; a daemon that runs meanwhile has to be restarted.

    Returns:
        How many sensors and schedules had one.
    """
    latest = (now + CLOCK_TOLERANCE).timestamp()
    return sum(_forget(instance, state, latest) for state in instance.all_instigator_state())


def _forget(instance: dg.DagsterInstance, state: InstigatorState, latest: float) -> bool:
    origin, selector = state.instigator_origin_id, state.selector_id
    (*ticks,) = instance.get_ticks(origin, selector, after=latest, limit=1)
    if ticks:
        instance.purge_ticks(origin, selector, before=ticks[0].timestamp + 1)
    data: Any = state.instigator_data
    names = TIMESTAMPS.get(type(data), ())
    ahead = {name: None for name in names if (getattr(data, name) or 0) > latest}
    if ahead:
        instance.update_instigator_state(state.with_data(data._replace(**ahead)))
    return bool(ticks or ahead)
