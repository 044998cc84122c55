"""Sets of metrics that the bench analyses, each measured against the first."""

from dataclasses import dataclass

from experiment_pipeline.domain.audience import EVERYBODY, Audience, Dimension
from experiment_pipeline.domain.measures import Aggregation, Condition, Events, Measure, Operator
from experiment_pipeline.domain.metrics import Direction, Mean, Metric
from tests.bench.data import ENVIRONMENT
from tests.metrics import version_1

FOUR = tuple(
    version_1(id=at, environment_key=ENVIRONMENT, name=event, event=event, aggregation=aggregation)
    for at, (event, aggregation) in enumerate(
        [
            ("signup", Aggregation.OCCURRENCE),
            ("page_view", Aggregation.COUNT),
            ("purchase", Aggregation.SUM),
            ("session", Aggregation.MEAN),
        ],
        start=1,
    )
)


def _mean(number: int, events: Events, aggregation: Aggregation) -> Metric:
    statistic = Mean(Measure(events, aggregation))
    return Metric(number, ENVIRONMENT, f"{events.name} {aggregation}", statistic, Direction.UP, "", version=2)


EIGHT_OF_TWO_EVENTS = tuple(
    _mean(number, Events(event), aggregation)
    for number, (event, aggregation) in enumerate(
        [
            ("page_view", Aggregation.OCCURRENCE),
            ("page_view", Aggregation.COUNT),
            ("page_view", Aggregation.DAYS),
            ("page_view", Aggregation.FIRST),
            ("purchase", Aggregation.COUNT),
            ("purchase", Aggregation.SUM),
            ("purchase", Aggregation.MEAN),
            ("purchase", Aggregation.MAX),
        ],
        start=1,
    )
)

IN_TWO_COUNTRIES = Condition("traits.country", Operator.IN, ("DE", "AT"))
ONE_WITH_A_CONDITION = tuple(
    _mean(metric.id, Events("purchase", where=(IN_TWO_COUNTRIES,)), Aggregation.SUM)
    if metric.name == "purchase"
    else metric
    for metric in FOUR
)
BY_COUNTRY = Audience(dimensions=(Dimension("country", "country"),))


@dataclass(frozen=True, slots=True)
class Analysed:
    """The metrics and the audience of one run.

    Attributes:
        sensitive: one of the metrics, which is analysed under the other policy for several exposures, too.
        self_check: whether control is split in two, too.
    """

    metrics: tuple[Metric, ...]
    audience: Audience = EVERYBODY
    sensitive: Metric | None = None
    self_check: bool = False


SETS = {
    "ours": Analysed(FOUR),
    "sensitive": Analysed(FOUR, sensitive=FOUR[2]),
    "self-check": Analysed(FOUR, self_check=True),
    "eight": Analysed(EIGHT_OF_TWO_EVENTS),
    "condition": Analysed(ONE_WITH_A_CONDITION),
    "dimension": Analysed(FOUR, BY_COUNTRY),
}
