"""The studies of metrics of version 2, at the bounds of the statistics page."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.stats.cuped import cuped
from tests.calibration import changing, parts, quantiles, revenues
from tests.calibration.fixed import Arms, coverage, errors, mean_arms, ratio_arms
from tests.calibration.guardrails import GUARDRAILS
from tests.calibration.parts import Funnel
from tests.calibration.peeking import mean_paths, peeking
from tests.calibration.populations import Revenue, Seed, computed
from tests.calibration.quantiles import Slow
from tests.calibration.self_checks import SELF_CHECKS
from tests.calibration.studies import ALL_STUDIES, COVERED, MORE, ONE_READING, Reading, Study, tails

EFFECT = tails("effect", "effect interval")
AT_MOST = (Reading("effect interval, two-sided error", ("effect:low", "effect:high"), high=0.056),)
CAPPED_SMALL = (Reading("effect interval covers", ("effect",), low=0.93),)
CAPPED_SMALL_MORE = (*CAPPED_SMALL, Reading("Fieller lift interval covers", ("lift",), low=0.93))
STRATIFIED = (Reading("post-stratified effect interval covers", ("effect",), 0.944, 0.956),)
OF_VALUES = (Reading("Benjamini-Hochberg, any verdict at any look", ("any",), high=0.056),)
SOME_OF_VALUES = (
    Reading("share of false verdicts, last look", ("last",), high=0.056),
    Reading("the effect on the largest value is found by the last look", ("found",)),
)
UNBOUND = tuple(replace(reading, high=1.0) for reading in ONE_READING)
CHECKOUT, MORE_CHECKOUT = Funnel((0.5, 0.5, 0.4)), Funnel((0.5, 0.5, 0.48))


def _adjusted(seed: Seed, n: int, worth: float = 1.0) -> list[Arms]:
    pairs = revenues.adjusted_pairs(seed, n, (20_000, 20_000), revenues.Spending(worth))
    found = (computed(cuped(c, t)) for c, t in pairs)
    return [(each.control, each.treatment) for each in found]


def _tied(name: str, values: quantiles.Values, q: float, n: int) -> Study:
    return Study(
        f"A/A, quantile {q:g} of {name}, {n:,} an arm",
        lambda seed, k: errors(quantiles.identity_arms(seed, k, values, q, n)),
        AT_MOST,
    )


def _peeking_quantile(name: str, values: quantiles.Values, q: float, looks: int, batch: int) -> Study:
    return Study(
        f"Peeking {looks} times, quantile {q:g} of {name}, no design",
        lambda seed, n: quantiles.peeking(seed, n, values, q, looks=looks, batch=batch),
        ONE_READING,
        share=0.5 if looks < 100 else 0.2,
    )


def _unequal_shapes(sigmas: tuple[float, float]) -> Study:
    """Return a study of values that everybody has, with the same mean and other shapes."""
    arms = [Revenue(1.0, sigma, scale=math.exp(-sigma * sigma / 2)) for sigma in sigmas]
    return Study(
        f"Known limit: equal means, everybody buys, lognormal {sigmas[0]:g} and {sigmas[1]:g}, 100 looks, no design",
        lambda seed, n: peeking(mean_paths(seed, n, *arms, looks=100, batches=(50, 50)), Design()),
        UNBOUND,
        share=0.5,
    )


def _saturated(case: changing.Changing) -> Study:
    return Study(
        f"Known limit: changing, {case.name}", lambda seed, n: changing.errors(case, seed, n), UNBOUND, share=0.2
    )


def _changing(case: changing.Changing) -> Study:
    return Study(f"Changing: {case.name}", lambda seed, n: changing.errors(case, seed, n), ONE_READING, share=0.2)


def _capped(sizes: tuple[int, int], worth: float = 1.0) -> Callable[[Seed, int], Counter[str]]:
    kind = {"sigma": 1.5, "percentile": 99.5, "worth": worth}
    truth = revenues.capped_truth(sizes, **kind)
    return lambda seed, n: coverage(revenues.capped_arms(seed, n, sizes, **kind), *truth)


def _quantile(name: str, values: quantiles.Values, q: float, n: int, readings: tuple[Reading, ...] = EFFECT) -> Study:
    return Study(
        f"A/A, quantile {q:g} of identities, {name}, {n:,} an arm",
        lambda seed, k: errors(quantiles.identity_arms(seed, k, values, q, n)),
        readings,
    )


def _quantile_more(q: float, n: int) -> Study:
    return Study(
        f"A/B, quantile {q:g} of identities, lognormal, 10 % more, {n:,} an arm",
        lambda seed, k: coverage(
            quantiles.identity_arms(seed, k, quantiles.lognormal, q, n, scale=MORE),
            (MORE - 1) * math.exp(NormalDist().inv_cdf(q)),
            MORE - 1,
        ),
        COVERED,
    )


def _peeking_events(looks: int, identities: int, *, arriving: bool) -> Study:
    when = "arrive all the time" if arriving else "come at once"
    return Study(
        f"Peeking {looks} times, quantile 0.9 of events over time, {identities:,} identities an arm {when}, no design",
        lambda seed, n: quantiles.peeking_events(seed, n, 0.9, identities=identities, looks=looks, arriving=arriving),
        ONE_READING,
        share=0.2,
    )


KINDS = (
    Study(
        "A/A, ratio, revenue an order, lognormal, 5,000 an arm",
        lambda seed, n: errors(ratio_arms(seed, n, revenues.Orders(), revenues.Orders(), 5_000)),
        EFFECT,
    ),
    Study(
        "A/B, ratio, revenue an order, 10 % more, 5,000 an arm",
        lambda seed, n: coverage(
            ratio_arms(seed, n, revenues.Orders(), revenues.Orders(worth=MORE), 5_000), MORE - 1, MORE - 1
        ),
        COVERED,
    ),
    Study(
        "A/A, revenue capped at its percentile 99.5, 20,000 an arm",
        lambda seed, n: errors(revenues.capped_arms(seed, n, (20_000, 20_000), sigma=1.5)),
        EFFECT,
    ),
    Study("A/A, capped revenue, 1/99, 500 buyers in the small arm", _capped((990_000, 10_000)), CAPPED_SMALL),
    Study(
        "A/B, capped revenue, 1/99, 10 % more, 500 buyers in the small arm",
        _capped((990_000, 10_000), MORE),
        CAPPED_SMALL_MORE,
    ),
    Study("A/B, capped revenue, 10 % more, 20,000 an arm", _capped((20_000, 20_000), MORE), COVERED),
    Study("A/A, adjusted revenue, 20,000 an arm", lambda seed, n: errors(_adjusted(seed, n)), EFFECT),
    Study(
        "A/B, adjusted revenue, 10 % more, 20,000 an arm",
        lambda seed, n: coverage(_adjusted(seed, n, MORE), (MORE - 1) * revenues.Spending().mean, MORE - 1),
        COVERED,
    ),
    _quantile("lognormal", quantiles.lognormal, 0.9, 5_000, AT_MOST),  # ranks are whole: a little wider than nominal
    _quantile("lognormal", quantiles.lognormal, 0.9, 20_000),
    _quantile("lognormal", quantiles.lognormal, 0.5, 5_000),
    _quantile_more(0.5, 5_000),
    _quantile_more(0.9, 20_000),
    Study(
        "A/A, quantile 0.9 of events, 2,000 identities an arm",
        lambda seed, n: errors(quantiles.event_arms(seed, n, 0.9, 2_000)),
        EFFECT,
    ),
    Study(
        "A/B, quantile 0.9 of events, 10 % more, 2,000 identities an arm",
        lambda seed, n: coverage(
            quantiles.event_arms(seed, n, 0.9, 2_000, MORE), (MORE - 1) * Slow().quantile(0.9), MORE - 1
        ),
        COVERED,
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
        "A/B, funnel of three steps, 10 % more, 5,000 an arm",
        lambda seed, n: coverage(mean_arms(seed, n, CHECKOUT, Funnel((0.5, 0.5, 0.44)), 5_000), 0.01, MORE - 1),
        COVERED,
    ),
    Study(
        "A/A, breakdown by 21 values, one of the 9 that expect 30 conversions, 10,000 an arm",
        lambda seed, n: errors(parts.any_value(seed, n, CHECKOUT, CHECKOUT, 10_000)),
        EFFECT,
    ),
    Study(
        "A/B, breakdown by 21 values, one of the 9 that expect 30 conversions, 10 % more, 10,000 an arm",
        lambda seed, n: coverage(parts.any_value(seed, n, CHECKOUT, Funnel((0.5, 0.5, 0.44)), 10_000), 0.01, MORE - 1),
        COVERED,
    ),
    Study(
        "A/A, post-stratified by 21 values, 3,000 an arm",
        lambda seed, n: parts.post_stratified_errors(seed, n, 3_000),
        EFFECT,
        share=0.5,
    ),
    Study(
        "A/B, post-stratified by 21 values, 10 % more, 3,000 an arm",
        lambda seed, n: parts.post_stratified_errors(seed, n, 3_000, MORE - 1),
        STRATIFIED,
        share=0.5,
    ),
    Study(
        "6 slices of counts, none has an effect, 30 looks",
        lambda seed, n: parts.sliced(seed, n, looks=30, batch=150),
        OF_VALUES,
        share=0.5,
    ),
    Study(
        "Peeking 720 times, funnel of three steps over time, 20,000 an arm at once, no design",
        lambda seed, n: parts.funnel_over_time(seed, n, CHECKOUT, identities=20_000, looks=720),
        ONE_READING,
        share=0.5,
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
        share=0.5,
    ),
    Study(
        "Peeking 30 times, adjusted revenue, no design",
        lambda seed, n: revenues.peeking_pairs(seed, n, ratio=False, looks=30, batch=400),
        ONE_READING,
        share=0.5,
    ),
    Study(
        "Peeking 720 times, adjusted revenue, no design",
        lambda seed, n: revenues.peeking_pairs(seed, n, ratio=False, looks=720, batch=20),
        ONE_READING,
        share=0.5,
    ),
    Study(
        "Peeking 30 times, capped revenue, no design",
        lambda seed, n: revenues.peeking_capped(seed, n, looks=30, batches=(700, 700)),
        ONE_READING,
        share=0.5,
    ),
    Study(
        "Peeking 240 times, capped revenue, a tenth of the traffic, 500 buyers in it, no design",
        lambda seed, n: revenues.peeking_capped(seed, n, looks=240, batches=(378, 42)),
        ONE_READING,
        share=0.2,
    ),
    Study(
        "Peeking 30 times, capped revenue, 1/99, 500 buyers in the small arm, no design",
        lambda seed, n: revenues.peeking_capped(seed, n, looks=30, batches=(33_000, 334)),
        ONE_READING,
        share=0.2,
    ),
    _peeking_events(30, 400, arriving=False),
    _peeking_events(30, 600, arriving=True),
    _peeking_quantile("lognormal values", quantiles.lognormal, 0.9, 30, 300),
    _peeking_quantile("lognormal values", quantiles.lognormal, 0.5, 100, 48),
    _peeking_quantile("zeros and ones", quantiles.halves, 0.5, 100, 48),
    _peeking_quantile("five levels, on a step", quantiles.levels, 0.6, 100, 48),
    _peeking_quantile("counts", quantiles.counts, 0.9, 100, 48),
    *(_changing(case) for case in changing.CASES),
    *(_saturated(case) for case in changing.SATURATED),
    _unequal_shapes((0.3, 1.5)),
)
EVERY_STUDY = (*ALL_STUDIES, *KINDS, *GUARDRAILS, *SELF_CHECKS)
