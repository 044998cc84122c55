"""The self-check: how often the control arm of a sound experiment is said to disagree with itself (rule S5)."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from experiment_pipeline.domain.measures import Aggregation, Events, Measure
from experiment_pipeline.domain.metrics import Metric, Ratio
from experiment_pipeline.results.self_check import count_calls
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.self_check import FEWEST_CALLS, MOST_CALLS
from experiment_pipeline.warehouse.duckdb.halves import Halves
from tests.calibration.populations import Seed
from tests.calibration.studies import Reading, Study
from tests.metrics import version_1

UNBOUND = 1.0

Draw = Callable[[np.random.Generator], tuple[Floats, Floats | None]]

SHARE = version_1(1, "prod", "share", "purchase", Aggregation.OCCURRENCE)
SUM = version_1(1, "prod", "sum", "purchase", Aggregation.SUM)
PER_ORDER = Metric(
    1, "prod", "m", Ratio(*(Measure(Events("purchase"), each) for each in (Aggregation.SUM, Aggregation.COUNT)))
)


def self_checks(seed: Seed, experiments: int, metric: Metric, draw: Draw) -> Counter[str]:
    """Return how many arms disagree with themselves, with too `few` calls and with too `many`."""
    rng, found = np.random.default_rng(seed), Counter(experiments=experiments)
    for number in range(experiments):
        y, x = draw(rng)
        halves = Halves(f"experiment-{seed}-{number}", metric.id)
        halves.add(rng.integers(-(2**63), 2**63, len(y)), y, x)
        calls = count_calls(metric, halves.splits()).calls
        assert calls is not None
        found.update(few=calls < FEWEST_CALLS, many=calls > MOST_CALLS)
    return found


def converted(share: float, n: int) -> Draw:
    return lambda rng: ((rng.random(n) < share).astype(float), None)


def counts(mean: float, n: int) -> Draw:
    return lambda rng: (rng.poisson(mean, n).astype(float), None)


def spent(buyers: int, sigma: float, n: int) -> Draw:
    """Lognormal amounts of so many of n identities."""
    return lambda rng: (np.concatenate((rng.lognormal(0, sigma, buyers), np.zeros(n - buyers))), None)


def capped(buyers: int, sigma: float, n: int) -> Draw:
    """The same, capped at the percentile 95 of the amounts."""

    def draw(rng: np.random.Generator) -> tuple[Floats, None]:
        (y, _) = spent(buyers, sigma, n)(rng)
        return np.minimum(y, np.quantile(y[:buyers], 0.95, method="inverted_cdf")), None

    return draw


def orders(n: int) -> Draw:
    """Revenue and number of orders."""

    def draw(rng: np.random.Generator) -> tuple[Floats, Floats]:
        x = rng.poisson(0.8, n).astype(float)
        return x * rng.lognormal(0, 0.8, n), x

    return draw


def _study(name: str, metric: Metric, draw: Draw, *, at_most: float = 0.005) -> Study:
    readings = (
        Reading("too few calls, or too many", ("few", "many"), high=at_most),
        Reading("too many calls", ("many",), high=0.005),
    )
    kind = "Known limit: self-check" if at_most == UNBOUND else "Self-check"
    return Study(f"{kind}, {name}", lambda seed, n: self_checks(seed, n, metric, draw), readings, share=0.1)


SELF_CHECKS = (
    _study("conversions at 5 %, 4,000 identities", SHARE, converted(0.05, 4_000)),
    _study("Poisson counts, 1,000 identities", SUM, counts(0.5, 1_000)),
    _study("lognormal 1 revenue of 300 buyers", SUM, spent(300, 1.0, 3_000), at_most=0.01),
    _study("lognormal 2 revenue of 300 buyers, capped at percentile 95", SUM, capped(300, 2.0, 3_000)),
    _study("ratio, revenue an order, 1,500 identities", PER_ORDER, orders(1_500)),
    _study("lognormal 1.5 revenue of 300 buyers", SUM, spent(300, 1.5, 3_000), at_most=UNBOUND),
    _study("lognormal 2 revenue of 300 buyers", SUM, spent(300, 2.0, 3_000), at_most=UNBOUND),
    _study("lognormal 2 revenue of 3,000 buyers", SUM, spent(3_000, 2.0, 9_000), at_most=UNBOUND),
)
