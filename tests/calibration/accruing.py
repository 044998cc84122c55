"""Where values accrue: the error of the verdict in populations that a real experiment may have, and its power.

One factor at a time around three base cases, and combinations of all factors drawn with a fixed seed. In the base cases
everybody is exposed at once, acts at a constant rate, and is looked at every hour of a month, without a design.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache

import numpy as np

from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import VERSION_1_AGGREGATIONS
from tests.calibration.peeking import (
    MINIMUM_CONVERSIONS,
    MINIMUM_NONZERO,
    Paths,
    log_anytime,
    paths_between,
)
from tests.calibration.populations import Moments, Seed
from tests.calibration.traffic import ArmOverTime, Rates, Traffic, draw_arms

FOUND_AT_THE_END = 2.8016  # z_0.975 + z_0.8: standard errors of an effect that is found with 80 % power by then
NEARLY_ALL = 0.999  # a design's effect may be more than there is room for
CHUNK = 50  # experiments drawn at a time: some million events
HOURS, FIVE_MINUTES = 720, 8_640  # looks in a month


class Plan(Enum):
    """The design: none, or one for so many times the effect that is found with 80 % power at the end."""

    NONE = 0.0
    RIGHT = 1.0
    TENTH = 0.1
    TENFOLD = 10.0


@dataclass(frozen=True, slots=True)
class Case:
    """One experiment of the simulations."""

    traffic: Traffic
    looks: int = HOURS
    plan: Plan = Plan.NONE

    @property
    def name(self) -> str:
        """Return what is unusual about it."""
        return ", ".join(_words(self))


def errors(case: Case, seed: Seed, experiments: int) -> Counter[str]:
    """Count A/A tests that are called a difference at any look."""
    return _called(case, seed, experiments, lift=0.0)


def power(case: Case, seed: Seed, experiments: int) -> Counter[str]:
    """Count the experiments that are called by the end, with an effect that 80 % of fixed-sample tests find there."""
    return _called(case, seed, experiments, lift=_frequency(case.traffic, lift_found(case.traffic)))


def _frequency(traffic: Traffic, lift: float) -> float:
    """Return by how much more often identities act where the metric is higher by a lift; of conversions the hazard."""
    if traffic.aggregation is not Aggregation.OCCURRENCE:
        return lift
    p = _mean_at_the_end(traffic)
    return math.log1p(-min(p * (1 + lift), NEARLY_ALL)) / math.log1p(-p) - 1


def _called(case: Case, seed: Seed, experiments: int, lift: float) -> Counter[str]:
    found = Counter(experiments=experiments)
    design = design_of(case)
    for start in range(0, experiments, CHUNK):
        paths = paths_of(case, (*seed, start), min(CHUNK, experiments - start), lift)
        crossed = log_anytime(paths, design) >= -math.log(design.alpha)
        found["anytime"] += int(crossed.any(axis=1).sum())
    return found


def paths_of(case: Case, seed: Seed, experiments: int, lift: float = 0.0) -> Paths:
    """Draw experiments of a case."""
    return paths_of_arms(case.traffic.aggregation, *draw_arms(case.traffic, seed, experiments, case.looks, lift))


def paths_of_arms(aggregation: Aggregation, control: ArmOverTime, treatment: ArmOverTime) -> Paths:
    """Return experiments whose arms have been drawn."""
    floor = MINIMUM_CONVERSIONS if aggregation is Aggregation.OCCURRENCE else MINIMUM_NONZERO
    identities = np.maximum(control.n + treatment.n, 1)
    nonzero = control.nonzero + treatment.nonzero  # values of means are positive: those who have one
    return paths_between(
        _moments(control),
        _moments(treatment),
        aggregation,
        events=(control.events + treatment.events) / identities,
        with_value=nonzero / identities if aggregation is Aggregation.MEAN else None,
        enough=np.minimum(control.nonzero, treatment.nonzero) >= floor,
    )


def _moments(arm: ArmOverTime) -> Moments:
    n = np.maximum(arm.n, 2)
    return Moments(n, arm.y / n, np.maximum(arm.yy - arm.y * arm.y / n, 0))


@cache
def _mean_at_the_end(traffic: Traffic) -> float:
    return float(paths_of(Case(traffic, looks=1), (0,), 200).control.mean.mean())


@cache
def lift_found(traffic: Traffic) -> float:
    """Return the lift that a fixed-sample test finds with 80 % power at the end, whose standard error it changes."""
    lift = 0.0
    for _ in range(3):
        paths = paths_of(Case(traffic, looks=1), (0,), 200, _frequency(traffic, lift))
        variances = sum(arm.m2 / (arm.n - 1) / arm.n for arm in (paths.control, paths.treatment))  # floors or not
        lift = FOUND_AT_THE_END * math.sqrt(float(np.mean(variances))) / _mean_at_the_end(traffic)
    return lift


def design_of(case: Case) -> Design:
    """Return the design that an experimenter of this plan would have written down."""
    if case.plan is Plan.NONE:
        return Design()
    return Design(mde=lift_found(case.traffic) * case.plan.value, baseline=_mean_at_the_end(case.traffic))


def hazard(share: float) -> float:
    """Return the events of an identity with which this share has converted by the end."""
    return -math.log1p(-share)


CONVERSIONS = Case(Traffic(Aggregation.OCCURRENCE, 20_000, hazard(0.3)))
COUNTS = Case(Traffic(Aggregation.COUNT, 5_000, 1.0))
REVENUE = Case(Traffic(Aggregation.SUM, 10_000, 0.3))
BASES = (CONVERSIONS, COUNTS, REVENUE)
ARRIVING = Case(Traffic(Aggregation.MEAN, 1_000, 10.0, enrolled_within=1.0))

ENROLMENTS = (0.1, 0.25, 0.5, 1.0)
SHARES = {0.05: 20_000, 0.3: 20_000, 0.7: 5_000, 0.95: 4_000}  # identities of an arm by the share that converts
EVENTS = {0.3: 10_000, 1.0: 5_000, 3.0: 2_000}  # identities of an arm by the events of each
COMBINATIONS, COMBINATIONS_SEED = 40, 20_260_101


def one_at_a_time() -> Iterator[Case]:
    """Yield the base cases, and each of them with one factor changed."""
    for base in BASES:
        yield base
        for within in ENROLMENTS:
            yield changed(base, enrolled_within=within)
        yield changed(base, rates=Rates.DECAYING)
        yield changed(base, rates=Rates.CYCLES)
        yield changed(base, gamma=0.5)
        yield changed(base, window=0.25)
        yield changed(base, treatment_ratio=1 / 9)
        for looks in (30, FIVE_MINUTES):
            yield replace(base, looks=looks)
        for plan in (Plan.RIGHT, Plan.TENTH, Plan.TENFOLD):
            yield replace(base, plan=plan)
    for share, identities in SHARES.items():
        if share != 0.3:  # the base case's
            yield changed(CONVERSIONS, events=hazard(share), identities=identities)
    for events, identities in EVENTS.items():
        if events != COUNTS.traffic.events:
            yield changed(COUNTS, events=events, identities=identities)
        yield changed(COUNTS, aggregation=Aggregation.MEAN, events=events, identities=identities)
    for log_sd in (0.1, 1.0):  # where some have no value yet, who has one may be all that differs
        yield changed(ARRIVING, log_sd=log_sd)
    for gamma in (None, 0.5):
        yield changed(ARRIVING, events=50.0, gamma=gamma)
    yield changed(REVENUE, log_sd=1.5)
    yield changed(REVENUE, refunded=0.3)
    yield changed(REVENUE, refunded=0.5, rates=Rates.DECAYING)


def with_an_effect() -> Iterator[Case]:
    """Yield the cases whose power is measured: the base cases with and without a design."""
    for base in BASES:
        yield base
        yield replace(base, plan=Plan.RIGHT)


def combinations() -> Iterator[Case]:
    """Yield the combinations of all factors, each drawn alone."""
    rng = np.random.default_rng(COMBINATIONS_SEED)
    for _ in range(COMBINATIONS):
        aggregation = VERSION_1_AGGREGATIONS[rng.integers(len(VERSION_1_AGGREGATIONS))]
        options = SHARES if aggregation is Aggregation.OCCURRENCE else EVENTS
        level = list(options)[rng.integers(len(options))]
        traffic = Traffic(
            aggregation,
            identities=options[level],
            events=hazard(level) if aggregation is Aggregation.OCCURRENCE else level,
            enrolled_within=(0.0, *ENROLMENTS)[rng.integers(5)],
            rates=list(Rates)[rng.integers(3)],
            gamma=(None, 0.5)[rng.integers(2)],
            log_sd=(1.0, 1.5)[rng.integers(2)],
            refunded=(0.0, 0.3)[rng.integers(2)] if aggregation is Aggregation.SUM else 0.0,
            window=(None, 0.25)[rng.integers(2)],
            treatment_ratio=(1.0, 1 / 9)[int(rng.random() < 0.25)],
        )
        yield Case(traffic, looks=(30, HOURS, FIVE_MINUTES)[rng.integers(3)], plan=list(Plan)[rng.integers(4)])


def beyond_the_clock() -> Iterator[Case]:
    """Yield traffic in which the difference is faster than the evidence: see the limits in docs/adr/0038.

    Identities arrive all the time, and each does all that it does in a tenth of it. Those who have just come are at 0,
    and how many they are moves the means to and fro: the more, the more an identity does. Only where all do as much is
    that large against what differs between them: with rates that differ the bound is kept. Likewise for conversions
    that nearly all make, with a design.
    """
    busy = Case(Traffic(Aggregation.COUNT, 1_000, 50.0, enrolled_within=1.0, window=0.1))
    for plan in (Plan.NONE, Plan.RIGHT):
        yield replace(busy, plan=plan)
        yield changed(replace(busy, plan=plan), events=200.0)
    yield changed(busy, gamma=0.5)
    for share in (0.97, 0.99):  # that has converted by the end
        all_soon = changed(CONVERSIONS, identities=4_000, events=1 / (1 - share), enrolled_within=1.0)
        yield replace(all_soon, plan=Plan.RIGHT)


def changed(case: Case, **changes: object) -> Case:
    """Return a case with other traffic."""
    return replace(case, traffic=replace(case.traffic, **changes))  # type: ignore[arg-type]


def _words(case: Case) -> Iterator[str]:
    traffic, aggregation = case.traffic, case.traffic.aggregation
    if aggregation is Aggregation.OCCURRENCE:
        converted = -math.expm1(-traffic.events)
        yield f"conversions, {converted:.0%}" if converted < 0.999 else f"conversions, {traffic.events:g} an identity"
    else:
        what = {Aggregation.COUNT: "counts", Aggregation.SUM: "revenue", Aggregation.MEAN: "means"}[aggregation]
        yield f"{what}, {traffic.events:g} an identity"
    yield f"{traffic.identities:,} an arm"
    yield f"within {traffic.enrolled_within:g} of the time" if traffic.enrolled_within else "at once"
    if traffic.rates is not Rates.CONSTANT:
        yield {Rates.DECAYING: "decaying", Rates.CYCLES: "in cycles"}[traffic.rates]
    if traffic.gamma is not None:
        yield "gamma rates"
    if aggregation in (Aggregation.SUM, Aggregation.MEAN) and traffic.log_sd != 1:
        yield "heavier tail" if traffic.log_sd > 1 else "values nearly equal"
    if traffic.refunded:
        yield f"{traffic.refunded:.0%} refunded"
    if traffic.window is not None:
        yield f"window of {traffic.window:g}"
    if traffic.treatment_ratio < 1:
        yield "a tenth to treatment"
    yield f"{case.looks:,} looks"
    yield {
        Plan.NONE: "no design",
        Plan.RIGHT: "design",
        Plan.TENTH: "design of a tenth of the effect",
        Plan.TENFOLD: "design of ten times the effect",
    }[case.plan]
