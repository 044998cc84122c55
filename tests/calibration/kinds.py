"""The studies of metrics of version 2, at the bounds of the statistics page."""

from collections import Counter
from collections.abc import Callable

from experiment_pipeline.stats.cuped import cuped
from tests.calibration import changing, parts, quantiles, revenues
from tests.calibration.fixed import Arms, coverage, errors, mean_arms, ratio_arms
from tests.calibration.parts import Funnel
from tests.calibration.populations import Seed, computed
from tests.calibration.quantiles import Slow
from tests.calibration.studies import ALL_STUDIES, COVERED, MORE, ONE_READING, Reading, Study, tails

EFFECT = tails("effect", "effect interval")
AT_MOST = (Reading("effect interval, two-sided error", ("effect:low", "effect:high"), high=0.056),)
CAPPED_SMALL = (Reading("effect interval covers", ("effect",), low=0.93),)
OF_VALUES = (Reading("Benjamini-Hochberg, any verdict at any look", ("any",), high=0.056),)
SOME_OF_VALUES = (
    Reading("share of false verdicts, last look", ("last",), high=0.056),
    Reading("the effect on the largest value is found by the last look", ("found",)),
)
CHECKOUT, MORE_CHECKOUT = Funnel((0.5, 0.5, 0.4)), Funnel((0.5, 0.5, 0.48))


def _adjusted(seed: Seed, n: int) -> list[Arms]:
    found = (computed(cuped(c, t)) for c, t in revenues.adjusted_pairs(seed, n, (20_000, 20_000)))
    return [(each.control, each.treatment) for each in found]


def _tied(name: str, values: quantiles.Values, q: float, n: int) -> Study:
    return Study(
        f"A/A, quantile {q:g} of {name}, {n:,} an arm",
        lambda seed, k: errors(quantiles.identity_arms(seed, k, values, q, n)),
        AT_MOST,
        share=0.5,
    )


def _peeking_quantile(name: str, values: quantiles.Values, q: float, looks: int, batch: int) -> Study:
    return Study(
        f"Peeking {looks} times, quantile {q:g} of {name}, no design",
        lambda seed, n: quantiles.peeking(seed, n, values, q, looks=looks, batch=batch),
        ONE_READING,
        share=0.2,
    )


def _changing(case: changing.Changing) -> Study:
    return Study(f"Changing: {case.name}", lambda seed, n: changing.errors(case, seed, n), ONE_READING, share=0.1)


def _capped(sizes: tuple[int, int]) -> Callable[[Seed, int], Counter[str]]:
    return lambda seed, n: coverage(revenues.capped_arms(seed, n, sizes, sigma=1.5), 0.0, 0.0)


KINDS = (
    Study(
        "A/A, ratio, revenue an order, lognormal, 5,000 an arm",
        lambda seed, n: errors(ratio_arms(seed, n, revenues.Orders(), revenues.Orders(), 5_000)),
        EFFECT,
        share=0.5,
    ),
    Study(
        "A/B, ratio, revenue an order, 10 % more, 5,000 an arm",
        lambda seed, n: coverage(
            ratio_arms(seed, n, revenues.Orders(), revenues.Orders(worth=MORE), 5_000), MORE - 1, MORE - 1
        ),
        COVERED,
        share=0.5,
    ),
    Study(
        "A/A, revenue capped at its percentile 99.5, 20,000 an arm",
        lambda seed, n: errors(revenues.capped_arms(seed, n, (20_000, 20_000), sigma=1.5)),
        EFFECT,
    ),
    Study(
        "A/A, capped revenue, 1/99, 500 buyers in the small arm", _capped((990_000, 10_000)), CAPPED_SMALL, share=0.5
    ),
    Study("A/A, adjusted revenue, 20,000 an arm", lambda seed, n: errors(_adjusted(seed, n)), EFFECT, share=0.25),
    Study(
        "A/A, quantile 0.9 of identities, lognormal, 5,000 an arm",
        lambda seed, n: errors(quantiles.identity_arms(seed, n, quantiles.lognormal, 0.9, 5_000)),
        EFFECT,
        share=0.5,
    ),
    Study(
        "A/A, quantile 0.5 of identities, lognormal, 5,000 an arm",
        lambda seed, n: errors(quantiles.identity_arms(seed, n, quantiles.lognormal, 0.5, 5_000)),
        EFFECT,
        share=0.5,
    ),
    Study(
        "A/B, quantile 0.5 of identities, lognormal, 10 % more, 5,000 an arm",
        lambda seed, n: coverage(
            quantiles.identity_arms(seed, n, quantiles.lognormal, 0.5, 5_000, scale=MORE), MORE - 1, MORE - 1
        ),
        COVERED,
        share=0.5,
    ),
    Study(
        "A/A, quantile 0.9 of events, 2,000 identities an arm",
        lambda seed, n: errors(quantiles.event_arms(seed, n, 0.9, 2_000)),
        EFFECT,
        share=0.5,
    ),
    Study(
        "A/B, quantile 0.9 of events, 10 % more, 2,000 identities an arm",
        lambda seed, n: coverage(
            quantiles.event_arms(seed, n, 0.9, 2_000, MORE), (MORE - 1) * Slow().quantile(0.9), MORE - 1
        ),
        COVERED,
        share=0.5,
    ),
    _tied("zeros and ones", quantiles.halves, 0.5, 1_000),
    _tied("five levels, on a step", quantiles.levels, 0.6, 1_000),
    _tied("counts", quantiles.counts, 0.9, 200),
    _tied("a price that half have", quantiles.prices, 0.75, 1_000),
    _tied("skewed revenue", quantiles.revenue, 0.9, 1_000),
    Study(
        "A/A, funnel of three steps, 3,000 an arm",
        lambda seed, n: errors(mean_arms(seed, n, CHECKOUT, CHECKOUT, 3_000)),
        EFFECT,
    ),
    Study(
        "Breakdown by 21 values of a dimension, none has an effect, 30 looks",
        lambda seed, n: parts.breakdown(seed, n, CHECKOUT, CHECKOUT, moving=0, looks=30, batch=1_000),
        OF_VALUES,
    ),
    Study(
        "Breakdown by 21 values of a dimension, none has an effect, 720 looks",
        lambda seed, n: parts.breakdown(seed, n, CHECKOUT, CHECKOUT, moving=0, looks=720, batch=100),
        OF_VALUES,
        share=0.5,
    ),
    Study(
        "Breakdown by 21 values of a dimension, 4 have an effect, 30 looks",
        lambda seed, n: parts.breakdown(seed, n, CHECKOUT, MORE_CHECKOUT, moving=4, looks=30, batch=1_000),
        SOME_OF_VALUES,
    ),
    Study(
        "Peeking 30 times, revenue an order, no design",
        lambda seed, n: revenues.peeking_pairs(seed, n, ratio=True, looks=30, batch=150),
        ONE_READING,
        share=0.5,
    ),
    Study(
        "Peeking 720 times, revenue an order, no design",
        lambda seed, n: revenues.peeking_pairs(seed, n, ratio=True, looks=720, batch=10),
        ONE_READING,
        share=0.25,
    ),
    Study(
        "Peeking 30 times, adjusted revenue, no design",
        lambda seed, n: revenues.peeking_pairs(seed, n, ratio=False, looks=30, batch=400),
        ONE_READING,
        share=0.25,
    ),
    Study(
        "Peeking 720 times, adjusted revenue, no design",
        lambda seed, n: revenues.peeking_pairs(seed, n, ratio=False, looks=720, batch=20),
        ONE_READING,
        share=0.25,
    ),
    Study(
        "Peeking 30 times, capped revenue, no design",
        lambda seed, n: revenues.peeking_capped(seed, n, looks=30, batches=(700, 700)),
        ONE_READING,
        share=0.5,
    ),
    Study(
        "Peeking 720 times, capped revenue, a tenth of the traffic, no design",
        lambda seed, n: revenues.peeking_capped(seed, n, looks=720, batches=(90, 10)),
        ONE_READING,
        share=0.1,
    ),
    _peeking_quantile("lognormal values", quantiles.lognormal, 0.9, 30, 300),
    _peeking_quantile("lognormal values", quantiles.lognormal, 0.5, 240, 20),
    _peeking_quantile("zeros and ones", quantiles.halves, 0.5, 240, 20),
    _peeking_quantile("five levels, on a step", quantiles.levels, 0.6, 240, 20),
    _peeking_quantile("counts", quantiles.counts, 0.9, 240, 20),
    *(_changing(case) for case in changing.CASES),
)
EVERY_STUDY = (*ALL_STUDIES, *KINDS)
