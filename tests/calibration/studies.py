"""Every simulation that `make calibrate` runs, and the bound that each of its numbers must keep."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.stats.power import sample_size
from tests.calibration import accruing
from tests.calibration.accruing import FOUND_AT_THE_END
from tests.calibration.families import secondary_metrics
from tests.calibration.fixed import coverage, cuped_arms, errors, mean_arms, ratio_arms
from tests.calibration.peeking import (
    cuped_paths,
    mean_paths,
    peeking,
    planned,
    ratio_paths,
    sample_ratio,
)
from tests.calibration.populations import Baskets, Binary, Counts, Habits, Revenue, Seed


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of a study: the share of its experiments counted under any of `keys`, and where it must lie."""

    name: str
    keys: tuple[str, ...]
    low: float = 0.0
    high: float = 1.0

    def measured(self, found: Counter[str]) -> float:
        """The share."""
        return sum(found[key] for key in self.keys) / found["experiments"]


@dataclass(frozen=True, slots=True)
class Study:
    """Simulated experiments of one kind; `run` simulates some of them, so that cores can share the work.

    share: of the experiments that are asked for, those that are simulated
    """

    name: str
    run: Callable[[Seed, int], Counter[str]]
    readings: tuple[Reading, ...]
    share: float = 1.0


def tails(method: str, label: str) -> tuple[Reading, ...]:
    low, high = f"{method}:low", f"{method}:high"
    return (
        Reading(f"{label}, two-sided error", (low, high), 0.044, 0.056),
        Reading(f"{label}, lower tail", (low,), 0.0205, 0.0295),
        Reading(f"{label}, upper tail", (high,), 0.0205, 0.0295),
    )


ONE_LOOK = (*tails("effect", "effect interval"), *tails("welch", "Welch's t"))
COVERED = (
    Reading("effect interval covers", ("effect",), 0.944, 0.956),
    Reading("Fieller lift interval covers", ("lift",), 0.944, 0.956),
)
MANY_LOOKS = (
    Reading('"chance to win above 95 %", last look alone', ("naive_once",)),
    Reading('"chance to win above 95 %", any look', ("naive",)),
    Reading("anytime-valid verdict, any look", ("anytime",), high=0.056),
)
UNEQUAL = (
    Reading("anytime-valid verdict, any look", ("anytime",), high=0.056),
    Reading("anytime-valid verdict, last look alone", ("anytime_once",)),
)
BY_THEN = Reading("anytime-valid verdict by 1.6 times the fixed sample", ("anytime",), low=0.8)
IN_TIME = (BY_THEN,)
# Three points less than an interval tuned to 10,000 identities found at 30 and at 720 looks (before docs/adr/0038).
IN_TIME_UNPLANNED = (replace(BY_THEN, low=0.719),), (replace(BY_THEN, low=0.742),)
FALSE_SHARE, ALONE, TOGETHER = "share of false verdicts", "each at its own 5 %", "Benjamini-Hochberg"
NOTHING_MOVES = (
    Reading(f"{ALONE}, any verdict at any look", ("alone:any",)),
    Reading(f"{TOGETHER}, any verdict at any look", ("together:any",), high=0.056),
)
SOME_MOVE = (
    Reading(f"{ALONE}, {FALSE_SHARE}, stopped at the first one", ("alone:first",)),
    Reading(f"{TOGETHER}, {FALSE_SHARE}, stopped at the first one", ("together:first",), high=0.056),
    Reading(f"{ALONE}, {FALSE_SHARE}, last look", ("alone:last",)),
    Reading(f"{TOGETHER}, {FALSE_SHARE}, last look", ("together:last",), high=0.056),
    Reading(f"{ALONE}, a true effect is found by the last look", ("alone:found",)),
    Reading(f"{TOGETHER}, a true effect is found by the last look", ("together:found",)),
)
PLANNED = (Reading("planned looks, any look", ("crossed",), 0.044, 0.056),)

BINARY, COUNTS, REVENUE = Binary(0.02), Counts(0.5), Revenue(buyers=0.05, sigma=1.0)
BASKETS, HABITS = Baskets(1.2), Habits(2.0)
MORE = 1.1  # the true lift of the A/B tests

# The design of the sequential studies: a tenth more conversions than 5 %, found with 80 % power at 5 %.
BASELINE = 0.05
DESIGN, NO_DESIGN = Design(mde=0.1, baseline=BASELINE), Design()
FIXED_SAMPLE = sample_size(standard_deviation=(BASELINE * (1 - BASELINE)) ** 0.5, effect=0.1 * BASELINE).control
COUNTS_DESIGN = Design(mde=0.15, baseline=0.5)
CONVERSION, CONVERSION_MORE = Binary(BASELINE), Binary(BASELINE * MORE)
EXTENDED = 1.6 * FIXED_SAMPLE


def _peek_binary(looks: int, design: Design) -> Callable[[Seed, int], Counter[str]]:
    batch = round(EXTENDED / looks)
    return lambda seed, n: peeking(
        mean_paths(seed, n, CONVERSION, CONVERSION, looks=looks, batches=(batch, batch)), design
    )


def _find_binary(looks: int, design: Design) -> Callable[[Seed, int], Counter[str]]:
    batch = int(EXTENDED / looks)
    return lambda seed, n: peeking(
        mean_paths(seed, n, CONVERSION, CONVERSION_MORE, looks=looks, batches=(batch, batch)), design
    )


def _find_at_the_floor(kind: str, arms: tuple[Counts, Counts] | tuple[Revenue, Revenue], looks: int) -> Study:
    """Return a study of an effect so large that 1.6 fixed samples bring hardly twice the identities of the floor."""
    control, treatment = arms
    difference = treatment.mean - control.mean
    fixed_sample = FOUND_AT_THE_END**2 * (control.variance + treatment.variance) / difference**2
    batch, design = int(1.6 * fixed_sample / looks), Design(mde=difference / control.mean, baseline=control.mean)
    return Study(
        f"An effect of the design's size, {kind}, hardly twice the floor, {looks} looks",
        lambda seed, n: peeking(mean_paths(seed, n, *arms, looks=looks, batches=(batch, batch)), design),
        IN_TIME,
        share=0.5,
    )


def _peek_ratio(looks: int, batch: int) -> Callable[[Seed, int], Counter[str]]:
    return lambda seed, n: peeking(
        ratio_paths(seed, n, BASKETS, looks=looks, batch=batch), Design(mde=0.05, baseline=1.0)
    )


def _peek_cuped(looks: int, batch: int) -> Callable[[Seed, int], Counter[str]]:
    return lambda seed, n: peeking(
        cuped_paths(seed, n, HABITS, looks=looks, batch=batch), Design(mde=0.1, baseline=2.0)
    )


def _unequal(buyers: tuple[float, float], sigma: float, fixed_sample: int) -> Study:
    """Return a study of arms whose mean is the same and whose share of buyers is not; 0 for no design."""
    rates = tuple(Revenue(share, sigma, scale=math.exp(-sigma * sigma / 2) / share) for share in buyers)
    variance = 2 * rates[0].variance  # an experimenter knows control's
    design = NO_DESIGN
    if fixed_sample:
        design = Design(mde=FOUND_AT_THE_END * math.sqrt(variance / fixed_sample), baseline=1.0)
    return Study(
        f"Equal means, {buyers[0]:.0%} and {buyers[1]:.0%} buyers, lognormal {sigma:g}, 100 looks, "
        + (f"design of {fixed_sample:,}" if fixed_sample else "no design"),
        lambda seed, n: peeking(mean_paths(seed, n, *rates, looks=100, batches=(400, 400)), design),
        UNEQUAL,
        share=0.5,
    )


def _secondary(moving: int, looks: int) -> Callable[[Seed, int], Counter[str]]:
    batch = round(EXTENDED / looks)
    return lambda seed, n: secondary_metrics(
        seed, n, CONVERSION, CONVERSION_MORE, NO_DESIGN, moving=moving, looks=looks, batch=batch
    )


def _split(
    shares: list[float], actual: list[float], looks: int, identities: int
) -> Callable[[Seed, int], Counter[str]]:
    return lambda seed, n: sample_ratio(seed, n, shares, actual, looks=looks, batch=identities // looks)


HALVES, SHIFTED, THIRDS, TENTH = [0.5, 0.5], [0.505, 0.495], [1 / 3, 1 / 3, 1 / 3], [0.9, 0.1]
SOUND_SPLIT = (
    Reading("fixed-sample test, last look alone", ("fixed",), 0.0001, 0.0019),
    Reading("fixed-sample test, any look", ("fixed_any",)),
    Reading("anytime-valid test, any look", ("anytime",), high=0.001),
)
BROKEN_SPLIT = (
    Reading("fixed-sample test, last look alone", ("fixed",), low=0.99),
    Reading("anytime-valid test, any look", ("anytime",), low=0.99),
)

STUDIES = (
    Study(
        "A/A, conversions, 3,000 identities an arm at 2 %",
        lambda seed, n: errors(mean_arms(seed, n, BINARY, BINARY, 3_000), proportions=True),
        (*ONE_LOOK, *tails("proportion", "Newcombe interval")),
    ),
    Study(
        "A/A, Poisson counts, 1,000 an arm", lambda seed, n: errors(mean_arms(seed, n, COUNTS, COUNTS, 1_000)), ONE_LOOK
    ),
    Study(
        "A/A, zero-inflated lognormal revenue, 20,000 an arm",
        lambda seed, n: errors(mean_arms(seed, n, REVENUE, REVENUE, 20_000)),
        ONE_LOOK,
    ),
    Study("A/A, ratio, 1,000 an arm", lambda seed, n: errors(ratio_arms(seed, n, BASKETS, BASKETS, 1_000)), ONE_LOOK),
    Study("A/A, CUPED, 1,000 an arm", lambda seed, n: errors(cuped_arms(seed, n, HABITS, HABITS, 1_000)), ONE_LOOK),
    Study(
        "A/B, conversions, 10 % more",
        lambda seed, n: coverage(mean_arms(seed, n, BINARY, Binary(0.02 * MORE), 3_000), 0.02 * (MORE - 1), MORE - 1),
        COVERED,
    ),
    Study(
        "A/B, Poisson counts, 10 % more",
        lambda seed, n: coverage(mean_arms(seed, n, COUNTS, Counts(0.5 * MORE), 1_000), 0.5 * (MORE - 1), MORE - 1),
        COVERED,
    ),
    Study(
        "A/B, revenue, 10 % more",
        lambda seed, n: coverage(
            mean_arms(seed, n, REVENUE, Revenue(0.05, 1.0, scale=MORE), 20_000), REVENUE.mean * (MORE - 1), MORE - 1
        ),
        COVERED,
    ),
    Study(
        "A/B, ratio, 10 % more",
        lambda seed, n: coverage(ratio_arms(seed, n, BASKETS, Baskets(1.2, worth=MORE), 1_000), MORE - 1, MORE - 1),
        COVERED,
    ),
    Study("Peeking 30 times, conversions", _peek_binary(30, DESIGN), MANY_LOOKS),
    Study("Peeking 720 times, conversions", _peek_binary(720, DESIGN), MANY_LOOKS),
    Study("Peeking 720 times, conversions, no design", _peek_binary(720, NO_DESIGN), MANY_LOOKS),
    Study(
        "Peeking 30 times, Poisson counts",
        lambda seed, n: peeking(mean_paths(seed, n, COUNTS, COUNTS, looks=30, batches=(50, 50)), COUNTS_DESIGN),
        MANY_LOOKS,
    ),
    Study(
        "Peeking 720 times, Poisson counts",
        lambda seed, n: peeking(mean_paths(seed, n, COUNTS, COUNTS, looks=720, batches=(20, 20)), COUNTS_DESIGN),
        MANY_LOOKS,
    ),
    Study(
        "Peeking 30 times, revenue, no design",
        lambda seed, n: peeking(mean_paths(seed, n, REVENUE, REVENUE, looks=30, batches=(700, 700)), NO_DESIGN),
        MANY_LOOKS,
    ),
    Study(
        "Peeking 720 times, revenue, no design",
        lambda seed, n: peeking(mean_paths(seed, n, REVENUE, REVENUE, looks=720, batches=(50, 50)), NO_DESIGN),
        MANY_LOOKS,
    ),
    Study(
        "Peeking 720 times, conversions, a tenth of the traffic",
        lambda seed, n: peeking(
            mean_paths(seed, n, CONVERSION, CONVERSION, looks=720, batches=(315, 35)),
            Design(mde=0.2, baseline=BASELINE),
        ),
        MANY_LOOKS,
    ),
    Study(
        "Peeking 720 times, revenue, a tenth of the traffic",
        lambda seed, n: peeking(
            mean_paths(seed, n, REVENUE, REVENUE, looks=720, batches=(270, 30)),
            Design(mde=0.25, baseline=REVENUE.mean),
        ),
        MANY_LOOKS,
    ),
    Study("Peeking 30 times, ratio", _peek_ratio(30, 50), MANY_LOOKS),
    Study("Peeking 720 times, ratio", _peek_ratio(720, 20), MANY_LOOKS),
    Study("Peeking 30 times, CUPED", _peek_cuped(30, 50), MANY_LOOKS),
    Study("Peeking 720 times, CUPED", _peek_cuped(720, 20), MANY_LOOKS),
    Study("10 secondary metrics of 2 treatments, none has an effect, 30 looks", _secondary(0, 30), NOTHING_MOVES),
    Study("10 secondary metrics of 2 treatments, none has an effect, 720 looks", _secondary(0, 720), NOTHING_MOVES),
    Study("10 secondary metrics of 2 treatments, 4 of 20 have an effect, 30 looks", _secondary(4, 30), SOME_MOVE),
    Study("An effect of the design's size, 30 looks", _find_binary(30, DESIGN), IN_TIME),
    Study("An effect of the design's size, 720 looks", _find_binary(720, DESIGN), IN_TIME),
    Study("An effect of the design's size, no design, 30 looks", _find_binary(30, NO_DESIGN), IN_TIME_UNPLANNED[0]),
    Study("An effect of the design's size, no design, 720 looks", _find_binary(720, NO_DESIGN), IN_TIME_UNPLANNED[1]),
    Study(
        "5 planned looks, conversions",
        lambda seed, n: planned(
            mean_paths(seed, n, CONVERSION, CONVERSION, looks=5, batches=(FIXED_SAMPLE // 5, FIXED_SAMPLE // 5))
        ),
        PLANNED,
    ),
    Study(
        "30 planned looks, Poisson counts",
        lambda seed, n: planned(mean_paths(seed, n, COUNTS, COUNTS, looks=30, batches=(50, 50))),
        PLANNED,
    ),
    Study("Sound split, halves, 30 looks", _split(HALVES, HALVES, 30, 30_000), SOUND_SPLIT),
    Study("Sound split, halves, 720 looks", _split(HALVES, HALVES, 720, 720_000), SOUND_SPLIT),
    Study("Sound split, thirds, 720 looks", _split(THIRDS, THIRDS, 720, 72_000), SOUND_SPLIT),
    Study("Sound split, 90/10, 720 looks", _split(TENTH, TENTH, 720, 72_000), SOUND_SPLIT),
    Study("Split off by 1 %, a million identities", _split(HALVES, SHIFTED, 30, 1_000_000), BROKEN_SPLIT),
)

# Few buyers of much against many of little (docs/adr/0034): `buyers` of control and treatment, and what they spend.
UNEQUAL_SHAPES = (
    _unequal((0.1, 0.02), 0, 3_000),
    _unequal((0.1, 0.02), 1, 3_000),
    _unequal((0.1, 0.01), 1, 3_000),
    _unequal((0.1, 0.01), 1, 1_000),
    _unequal((0.1, 0.02), 1, 0),
    _unequal((0.1, 0.01), 1, 0),
    _unequal((0.02, 0.1), 1, 3_000),
    _unequal((0.05, 0.05), 1.5, 3_000),
    _unequal((0.1, 0.01), 2, 3_000),
)

BUYING = REVENUE, Revenue(buyers=0.075, sigma=1.0)
COUNTED = COUNTS, Counts(0.625)
AT_THE_FLOOR = (
    *(_find_at_the_floor("revenue", BUYING, looks) for looks in (30, 720)),
    _find_at_the_floor("Poisson counts", COUNTED, 30),
)

ONE_READING = (Reading("anytime-valid verdict, any look", ("anytime",), high=0.056),)
CALLED_BY_THE_END = (Reading("anytime-valid verdict by the end", ("anytime",), low=0.55),)


def _accruing(case: accruing.Case) -> Study:
    share = 0.5 if case.looks < accruing.FIVE_MINUTES else 0.2
    return Study(f"Accruing: {case.name}", lambda seed, n: accruing.errors(case, seed, n), ONE_READING, share=share)


def _called_by_the_end(case: accruing.Case) -> Study:
    return Study(
        f"An effect that 80 % of fixed samples find at the end: {case.name}",
        lambda seed, n: accruing.power(case, seed, n),
        CALLED_BY_THE_END,
        share=0.5,
    )


def _limit(case: accruing.Case) -> Study:
    bounded = ONE_READING if case.traffic.gamma else (replace(ONE_READING[0], high=1.0),)
    return Study(f"Known limit: {case.name}", lambda seed, n: accruing.errors(case, seed, n), bounded, share=0.5)


# Where values accrue. Too many and too large for the fast tests, which have cases of their own.
ACCRUING = (
    *(_called_by_the_end(case) for case in accruing.with_an_effect()),
    *(_accruing(case) for case in accruing.one_at_a_time()),
    *(_accruing(case) for case in accruing.combinations()),
    *(_limit(case) for case in accruing.beyond_the_clock()),
)
LARGE_STUDIES = (*AT_THE_FLOOR, *UNEQUAL_SHAPES, *ACCRUING)
ALL_STUDIES = (*STUDIES, *LARGE_STUDIES)
