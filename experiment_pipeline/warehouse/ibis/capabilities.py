"""What is computed in a warehouse, and what is refused there, with the reason (rules N1, N10)."""

from collections.abc import Iterator

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.measures import Measure
from experiment_pipeline.domain.metrics import Metric
from experiment_pipeline.errors import ConfigurationError

IN_PLACE = "not computed where the events lie yet; copy the rows into the lake by a source"


def require_computable(scope: AnalysisScope, metrics: tuple[Metric, ...]) -> None:
    """Refuse an experiment that asks for something that is not computed in place.

    Raises:
        ConfigurationError: it does; the message names everything that is refused.
    """
    found = [*refused_of_scope(scope), *(each for metric in metrics for each in refused_of_metric(metric))]
    if found:
        raise ConfigurationError.of("warehouse", f"{'; '.join(found)}: {IN_PLACE}.")


def refused_of_scope(scope: AnalysisScope) -> Iterator[str]:
    """Yield what is refused of an audience."""
    audience = scope.audience
    asked = {
        "everybody in the environment": scope.feature is None,
        "an entry point": audience.entry is not None,
        "dimensions that are crossed": bool(audience.cross),
    }
    yield from (name for name, is_asked in asked.items() if is_asked)


def refused_of_metric(metric: Metric) -> Iterator[str]:
    """Yield what is refused of a metric."""
    for measure in metric.measures:
        yield from (f"{each} of metric '{metric.name}'" for each in _refused_of_measure(measure))


def _refused_of_measure(measure: Measure) -> Iterator[str]:
    if measure.slice_by is not None:
        yield "`slice_by`"
