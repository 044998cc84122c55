"""Results in terminals of every width: metric, variant and verdict are always there, whole."""

import io

import pytest
from rich.console import Console

from experiment_pipeline.cli.context import REPORT_WIDTH
from experiment_pipeline.cli.results_table import ResultsTable
from experiment_pipeline.domain.aggregates import MetricAggregates, VariantAggregate
from experiment_pipeline.domain.experiments import Experiment, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import Direction
from experiment_pipeline.pages.metrics import interval_label, metric_views
from experiment_pipeline.results.compute import compute_results
from experiment_pipeline.results.payload import ResultsPayload, results_payload
from tests.cli.test_results import AT
from tests.metrics import version_1
from tests.results.subjects import CONTROL, experiment

METRIC, TREATMENT = "orders above the free delivery limit", "larger_button_below_the_price"
WIDTHS = (40, 60, 80, 100, 120, 200, REPORT_WIDTH)  # the last one where output is piped


def subject() -> Experiment:
    """One metric and one treatment of long names."""
    measured = version_1(1, "prod", METRIC, "purchase", Aggregation.OCCURRENCE, Direction.UP)
    return experiment((CONTROL, Variant(TREATMENT, VariantRole.TREATMENT, 50)), measured, started_at=AT.replace(day=1))


def winning(experiment: Experiment) -> ResultsPayload:
    """Results on which the treatment wins."""
    arms: dict[str, VariantAggregate | None] = {
        "control": VariantAggregate(9000, 0.2, 9000 * 0.16),
        TREATMENT: VariantAggregate(9000, 0.3, 9000 * 0.21),
    }
    counts = dict.fromkeys(arms, 9000)
    return results_payload(compute_results(experiment, counts, [MetricAggregates(1, arms)], Floors()))


def printed(width: int) -> list[str]:
    """Return the printed lines."""
    experiment = subject()
    console = Console(width=width, file=io.StringIO(), markup=False)
    with console.capture() as capture:
        console.print(ResultsTable(metric_views(experiment, winning(experiment)), interval_label(experiment)))
    return capture.get().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_results__at_any_width__hold_metric_variant_and_verdict_whole(width: int) -> None:
    lines = printed(width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for whole in (METRIC, TREATMENT, "winning", "verdict", "lift", "2,700 of 9,000"):
        assert whole in text
    assert "…" not in text


def test_results__where_they_fit__are_a_table_and_otherwise_a_block_per_metric() -> None:
    wide, narrow = printed(200), printed(80)
    (row,) = (line for line in wide if TREATMENT in line)
    assert "winning" in row
    assert f"  {TREATMENT}" in narrow
    assert "    verdict: winning" in narrow
    (fits,) = {max(map(len, (line.rstrip() for line in wide)))}
    assert any(TREATMENT in line and "winning" in line for line in printed(fits + 2))
