"""What every engine must tell of two analyses: what came late, and whom it changed (rule R9)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.audience import Audience
from experiment_pipeline.domain.looks import LateAnalysis, Look
from experiment_pipeline.domain.measures import Aggregation, Events
from experiment_pipeline.domain.metrics import Metric
from tests.warehouse.contract import DAY, HOUR, STARTED_AT, Build, Event, did, metric, scope, seen

LATER, LATE_BATCH = DAY, 2
SPENT, BOUGHT = metric(1, Aggregation.SUM), metric(2, Aggregation.OCCURRENCE)
FIRST = [seen(1, "b"), seen(2, "control"), did(1, 5), did(2, 3)]


def moved(
    build: Build,
    second: Sequence[Event],
    *metrics: Metric,
    first: Sequence[Event] = FIRST,
    of: AnalysisScope | None = None,
    since: timedelta = LATER,
) -> LateAnalysis:
    """The changes that a second batch makes since a look at the first one as of a day after the start."""
    of = of or scope(data_version=LATE_BATCH)
    engine = build(first, [replace(event, batch=LATE_BATCH) for event in second])
    engine.write_first_exposures(of)
    measured = metrics or (SPENT, BOUGHT)
    payload = {"srm": {"identities": {"b": 1}}, "metrics": [{"metric_id": each.id} for each in measured]}
    at = STARTED_AT + since
    return engine.late_analysis(of, measured, Look(1, at, 1, at, "code", payload))


class LateAnalysisContract:
    """Inherit, and give `build`."""

    def test_late_analysis__of_events_dated_after_the_look__is_of_new_identities_alone__r9(self, build: Build) -> None:
        second = [seen(3, "b", LATER), seen(4, "unseen", LATER), did(1, 9, LATER), did(3, 9, 2 * DAY)]
        of = replace(scope(data_version=LATE_BATCH), variants=("control", "b"))
        assert moved(build, second, of=of) == LateAnalysis(0, new_identities=1, restated_identities=0)

    def test_late_analysis__of_a_late_event__restates_whose_value_it_changes__r9(self, build: Build) -> None:
        second = [did(1, 4), did(2, 0, 3 * HOUR), did(7, 4)]  # a sum that grows, one that does not, one of nobody
        assert moved(build, second) == LateAnalysis(3, 0, restated_identities=1)
        assert moved(build, second, BOUGHT) == LateAnalysis(3, 0, restated_identities=0)

    def test_late_analysis__of_an_earlier_exposure__restates_whoever_it_moves__r9(self, build: Build) -> None:
        assert moved(build, [seen(1, "b", HOUR / 2), seen(2, "control", 2 * HOUR)]) == LateAnalysis(2, 0, 1)

    def test_late_analysis__of_somebody_first_seen_late__is_of_a_new_identity__r9(self, build: Build) -> None:
        assert moved(build, [seen(3, "b"), did(3, 1)]) == LateAnalysis(2, new_identities=1, restated_identities=0)

    def test_late_analysis__of_somebody_excluded_through_it__restates_nobody__r9(self, build: Build) -> None:
        assert moved(build, [seen(1, "control", 2 * HOUR), did(1, 1)]) == LateAnalysis(2, 0, 0)

    def test_late_analysis__of_a_late_entry__moves_where_analysis_starts__r9(self, build: Build) -> None:
        of = replace(scope(data_version=LATE_BATCH), audience=Audience(entry=Events("opened")))
        first = [*FIRST, did(1, None, 3 * HOUR, event="opened")]
        second = [did(1, None, 2 * HOUR, event="opened"), did(2, None, 2 * HOUR, event="opened")]
        assert moved(build, second, first=first, of=of) == LateAnalysis(2, new_identities=1, restated_identities=1)

    def test_late_analysis__of_events_that_the_analysis_does_not_read__is_of_nothing__r9(self, build: Build) -> None:
        others = [
            did(1, 4, event="other"),
            seen(1, "control", feature="other"),
            did(1, 4, -HOUR),
            seen(1, "control", -HOUR),
        ]
        assert moved(build, others) == LateAnalysis(0, 0, 0)

    def test_late_analysis__of_a_metric_that_the_look_does_not_have__is_of_nothing__r9(self, build: Build) -> None:
        added = metric(3, Aggregation.COUNT, event="view")
        engine = build(FIRST, [did(1, None, event="view", batch=LATE_BATCH)])
        of = scope(data_version=LATE_BATCH)
        engine.write_first_exposures(of)
        at = STARTED_AT + LATER
        look = Look(1, at, 1, at, "code", {"srm": {"identities": {"b": 1}}, "metrics": [{"metric_id": 1}]})
        assert engine.late_analysis(of, (SPENT, added), look) == LateAnalysis(0, 0, 0)

    def test_late_analysis__since_a_look_as_of_a_later_moment__is_up_to_this_one__r9(self, build: Build) -> None:
        assert moved(build, [did(1, 4), did(1, 4, 5 * DAY)], since=9 * DAY) == LateAnalysis(1, 0, 1)
