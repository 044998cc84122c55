"""What every engine must do for the self-check: split control by hashes, and count the tests that call a difference."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy import stats

from experiment_pipeline.domain.measures import Aggregation, Bound, Events, Measure
from experiment_pipeline.domain.metrics import Mean, Metric, Quantile, Ratio, Statistic
from experiment_pipeline.domain.self_check import SelfCheck
from experiment_pipeline.warehouse.base import Warehouse
from experiment_pipeline.warehouse.frame_schemas import metric_aggregates, validated
from tests.reference.self_checks import halves
from tests.warehouse.contract import HOUR, PURCHASE, Build, Event, did, metric, scope, seen

Test = Callable[[Sequence[int], Sequence[int]], float]
PURCHASES = Events(PURCHASE)


def shoppers(number: int = 300) -> tuple[list[Event], dict[int, list[float]]]:
    """Identities of control, and what each spent; as many of a treatment, who spent more."""
    numbers = random.Random(3)
    spent = {
        numbers.getrandbits(64) - 2**63: [
            numbers.lognormvariate(1, 0.6) for _ in range(numbers.choice((0, 1, 1, 2, 3)))
        ]
        for _ in range(number)
    }
    events = [event for who, values in spent.items() for event in (seen(who, "control"), *_purchases(who, values))]
    for _ in range(number):
        who = numbers.getrandbits(64) - 2**63
        events += [seen(who, "b"), did(who, 50.0)]
    return events, spent


def _purchases(who: int, values: Sequence[float]) -> list[Event]:
    return [did(who, value, 2 * HOUR + at * timedelta(minutes=1)) for at, value in enumerate(values)]


def checked(engine: Warehouse, *metrics: Metric) -> dict[int, SelfCheck | None]:
    engine.write_first_exposures(scope())
    rows = engine.variant_aggregates(scope(), metrics, self_check=True).rows
    return {each.metric_id: each.self_check for each in metric_aggregates(validated("variant_aggregates", rows))}


def calls(metric_id: int, identities: Mapping[int, object], test: Test) -> SelfCheck:
    """The same by SciPy or statsmodels, of the halves of plain Python."""
    return SelfCheck(sum(bool(test(*both) < 0.05) for both in halves("checkout-1", metric_id, identities)))


def welch(of: Mapping[int, float]) -> Test:
    return lambda one, other: stats.ttest_ind([of[who] for who in one], [of[who] for who in other], equal_var=False)[1]


class SelfCheckContract:
    """Inherit, and give `build`."""

    def test_self_check__of_a_sum__is_that_of_welchs_test_on_the_same_halves(self, build: Build) -> None:
        events, spent = shoppers()
        (found,) = checked(build(events), metric(4, Aggregation.SUM)).values()
        assert found == calls(4, spent, welch({who: sum(values) for who, values in spent.items()}))
        assert found.calls

    def test_self_check__of_a_share__is_that_of_the_test_of_two_proportions(self, build: Build) -> None:
        events, spent = shoppers()

        def test(one: Sequence[int], other: Sequence[int]) -> float:
            bought = [sum(map(bool, map(spent.get, half))) for half in (one, other)]
            table = [bought, [len(half) - number for half, number in zip((one, other), bought, strict=True)]]
            return float(stats.chi2_contingency(table, correction=False).pvalue)  # its square is that of the z-test

        (found,) = checked(build(events), metric(9, Aggregation.OCCURRENCE)).values()
        assert found == calls(9, spent, test)

    def test_self_check__of_a_capped_metric__is_of_the_capped_values__m10(self, build: Build) -> None:
        events, spent = shoppers()
        total = {who: sum(values) for who, values in spent.items()}
        cap = sorted([*total.values(), *([50.0] * len(total))])[round(0.6 * 2 * len(total)) - 1]
        assert cap == 50.0  # the treatment spent more
        measure = Measure(PURCHASES, Aggregation.SUM, cap=Bound(at=4.0))
        found = checked(build(events), Metric(1, "prod", "m", Mean(measure)))[1]
        assert found == calls(1, spent, welch({who: min(value, 4.0) for who, value in total.items()}))
        of_nonzero = replace(measure, cap=Bound(percentile=99, of_nonzero=True))
        held = checked(build(events), Metric(1, "prod", "m", Mean(of_nonzero)))[1]
        assert held == calls(1, spent, welch({who: min(value, 50.0) for who, value in total.items()}))

    def test_self_check__of_a_ratio__is_that_of_the_delta_method__m9(self, build: Build) -> None:
        events, spent = shoppers()
        numerator, denominator = (Measure(PURCHASES, each) for each in (Aggregation.SUM, Aggregation.COUNT))

        def of_half(half: Sequence[int]) -> tuple[float, float]:
            y, x = (np.array([of(spent[who]) for who in half], float) for of in (sum, len))
            ratio = y.sum() / x.sum()
            return ratio, (y - ratio * x).var(ddof=1) / x.mean() ** 2 / len(half)

        def test(one: Sequence[int], other: Sequence[int]) -> float:
            (first, its), (second, own) = of_half(one), of_half(other)
            return float(2 * stats.norm.sf(abs(first - second) / (its + own) ** 0.5))

        found = checked(build(events), Metric(2, "prod", "m", Ratio(numerator, denominator)))[2]
        assert found == calls(2, spent, test)

    def test_self_check__with_a_pre_period__is_of_the_adjusted_values__m11(self, build: Build) -> None:
        events, spent = shoppers()
        numbers = random.Random(8)
        before = {who: sum(values) + numbers.random() for who, values in spent.items()}
        events += [did(who, value, -HOUR) for who, value in before.items()]
        adjusted = Mean(Measure(PURCHASES, Aggregation.SUM), covariate_before=timedelta(days=2))

        def test(one: Sequence[int], other: Sequence[int]) -> float:
            y, x = ([np.array([of(who) for who in half]) for half in (one, other)] for of in (total, before.get))
            products = [((b - b.mean()) * (a - a.mean())).sum() for a, b in zip(y, x, strict=True)]
            slope = sum(products) / sum(((each - each.mean()) ** 2).sum() for each in x)
            values = [a - slope * (b - x[0].mean()) for a, b in zip(y, x, strict=True)]
            return float(stats.ttest_ind(*values, equal_var=False)[1])

        def total(who: int) -> float:
            return sum(spent[who])

        found = checked(build(events), Metric(3, "prod", "m", adjusted))[3]
        assert found == calls(3, spent, test)

    def test_self_check__of_a_mean_of_those_who_have_a_value__leaves_the_others_out__m6(self, build: Build) -> None:
        events, spent = shoppers()
        mean = {who: sum(values) / len(values) for who, values in spent.items() if values}
        found = checked(build(events), Metric(5, "prod", "m", Mean(Measure(PURCHASES, Aggregation.MEAN))))[5]
        assert found == calls(5, mean, welch(mean))

    @pytest.mark.parametrize("far", [0.0, 1e9])
    def test_self_check__in_any_order_split_and_number_of_threads__is_equal__x5(self, build: Build, far: float) -> None:
        events, _ = shoppers()
        moved = [replace(each, value="x", number=(each.number or 0) + far) for each in events if each.event == PURCHASE]
        shown = [each for each in events if each.event != PURCHASE]
        shuffled = random.Random(1).sample([*shown, *moved], len(events))
        kinds = metric(1, Aggregation.SUM), metric(2, Aggregation.COUNT)
        wanted = checked(build([*shown, *moved]), *kinds)
        assert checked(build(shuffled[:100], shuffled[100:], threads=4), *kinds) == wanted

    def test_self_check__of_other_metrics_and_experiments__splits_otherwise(self, build: Build) -> None:
        engine, metrics = build(shoppers()[0]), [metric(number, Aggregation.SUM) for number in range(1, 6)]
        found = {each.calls for each in checked(engine, *metrics).values() if each is not None}
        assert len(found) > 1

    @pytest.mark.parametrize(
        ("statistic", "reason"),
        [
            (Quantile(0.5, Measure(PURCHASES, Aggregation.SUM)), "no_self_check_of_quantiles"),
            (Quantile(0.5, PURCHASES), "no_self_check_of_quantiles"),
            (Mean(Measure(Events("never"), Aggregation.SUM)), "no_variance"),
        ],
    )
    def test_self_check__that_cannot_be__says_why(self, build: Build, statistic: Statistic, reason: str) -> None:
        found = checked(build(shoppers()[0]), Metric(1, "prod", "m", statistic))
        assert found == {1: SelfCheck(None, reason)}

    def test_self_check__of_values_too_large_for_a_float__says_so(self, build: Build) -> None:
        events = [event for who in range(60) for event in (seen(who, "control"), did(who, 1e200 * who))]
        assert checked(build(events), metric(1, Aggregation.SUM)) == {1: SelfCheck(None, "out_of_range")}

    def test_self_check__without_control_or_not_asked_for__is_none(self, build: Build) -> None:
        kind = metric(1, Aggregation.SUM)
        assert checked(build([seen(1, "b"), did(1, 5)]), kind) == {1: None}
        engine = build([seen(1, "control"), did(1, 5)])
        engine.write_first_exposures(scope())
        (found,) = metric_aggregates(engine.variant_aggregates(scope(), (kind,)).rows)
        assert found.self_check is None
