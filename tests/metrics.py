"""Metrics for tests."""

from datetime import timedelta

from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import Direction, Metric, mean_of_version_1


def version_1(  # noqa: PLR0917 - in the order of a declaration
    id: int,  # noqa: A002 - the field's name
    environment_key: str,
    name: str,
    event: str,
    aggregation: Aggregation,
    direction: Direction = Direction.UP,
    description: str = "",
    window: timedelta | None = None,
) -> Metric:
    """A metric as a version 1 definition declares it."""
    statistic = mean_of_version_1(event, aggregation, window)
    return Metric(id, environment_key, name, statistic, direction, description, version=1)
