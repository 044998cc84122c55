"""Guardrails with a margin: how often they are ok where the effect is exactly the margin, and where there is none."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import ExpectedDirection
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.confidence_sequence import log_mixture
from experiment_pipeline.stats.evidence import UNPLANNED
from experiment_pipeline.stats.guardrail import WEIGHT_OF_MARGIN
from tests.calibration import accruing
from tests.calibration.accruing import FOUND_AT_THE_END
from tests.calibration.peeking import Paths, error_factor, mean_paths, paths_between
from tests.calibration.populations import Binary, Counts, Moments, Population, Revenue, Seed
from tests.calibration.studies import Reading, Study
from tests.calibration.traffic import ArmOverTime, Rates, Traffic, draw_arms

DESIGN = Design()
NOT_DECREASE, NOT_INCREASE = ExpectedDirection.NOT_DECREASE, ExpectedDirection.NOT_INCREASE
EXTENDED = 1.6

AT_MARGIN = (
    Reading("ok at any look", ("ok",), high=0.056),
    Reading("harmed at any look", ("harmed",), high=0.056),
)
EQUAL = (Reading("ok by 1.6 times the fixed sample", ("ok",), low=0.8), AT_MARGIN[1])
EQUAL_ACCRUING = (Reading("ok by the end", ("ok",)), AT_MARGIN[1])


def factor_of(expected: ExpectedDirection, margin: float) -> float:
    """Return what control is multiplied by."""
    return 1 - margin if expected is NOT_DECREASE else 1 + margin


def log_at_margin(paths: Paths, expected: ExpectedDirection, margin: float) -> tuple[Floats, Floats]:
    """Return `log M` of "exactly at the margin" at every look, 0 below the floors, and how much better it looks."""
    factor, control = factor_of(expected, margin), paths.control
    from_margin = paths_between(
        Moments(control.n, factor * control.mean, factor**2 * control.m2),
        paths.treatment,
        enough=np.isfinite(paths.standard_error),
    )
    accrued: Floats = (control.mean**2 + paths.treatment.mean**2) / 2 / paths.pooled_error**2
    mixture = ((margin, WEIGHT_OF_MARGIN), *((lift, (1 - WEIGHT_OF_MARGIN) * weight) for lift, weight in UNPLANNED))
    error = from_margin.cautious_error * (1.0 if paths.with_value is None else error_factor(paths, accrued, mixture))
    better = from_margin.effect if expected is NOT_DECREASE else -from_margin.effect
    return log_mixture(np.abs(from_margin.effect) / error, accrued, mixture), better


def guarded(paths: Paths, expected: ExpectedDirection, margin: float) -> Counter[str]:
    """Count experiments whose guardrail is ok, and harmed, at any look."""
    log_m, better = log_at_margin(paths, expected, margin)
    crossed = log_m >= -math.log(DESIGN.alpha)
    return Counter(
        experiments=len(crossed),
        ok=int((crossed & (better > 0)).any(axis=1).sum()),
        harmed=int((crossed & (better < 0)).any(axis=1).sum()),
    )


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A guardrail on arms that are as large as 1.6 fixed samples at the end.

    Attributes:
        kind: of metric, in words.
        control: what identities of control do.
        at: what those of treatment do where their mean is this many times control's.
        spread: variance over the squared mean, of one identity.
    """

    kind: str
    control: Population
    at: Callable[[float], Population]
    spread: float
    margin: float = 0.1
    expected: ExpectedDirection = NOT_DECREASE

    def batch(self, looks: int) -> int:
        """Return the identities of an arm that arrive at each look.

        A fixed sample shows in 80 % of experiments that equal arms differ by less than the margin.
        """
        squared = self.spread * (1 + factor_of(self.expected, self.margin) ** 2) / self.margin**2
        return round(EXTENDED * FOUND_AT_THE_END**2 * squared / looks)

    def simulate(self, times: float, looks: int) -> Callable[[Seed, int], Counter[str]]:
        """Return experiments in which the treatment's mean is this many times control's."""
        sizes = self.batch(looks), self.batch(looks)
        return lambda seed, n: guarded(
            mean_paths(seed, n, self.control, self.at(times), looks=looks, batches=sizes), self.expected, self.margin
        )

    def studies(self, looks: int) -> tuple[Study, Study]:
        """Return the study of an effect of exactly the margin, and that of none."""
        name = f"Guardrail {self.expected.value}, {self.kind}, margin of {self.margin:.0%}, {looks} looks"
        at_margin = self.simulate(factor_of(self.expected, self.margin), looks)
        return (
            Study(f"{name}, effect of the margin", at_margin, AT_MARGIN, share=0.5),
            Study(f"{name}, no effect", self.simulate(1.0, looks), EQUAL, share=0.5),
        )


def _conversions(share: float, margin: float, expected: ExpectedDirection) -> Guardrail:
    return Guardrail(
        f"conversions at {share:.0%}",
        Binary(share),
        lambda times: Binary(share * times),
        (1 - share) / share,
        margin,
        expected,
    )


def _revenue(expected: ExpectedDirection) -> Guardrail:
    spends = Revenue(buyers=0.05, sigma=1.0)
    return Guardrail(
        "revenue",
        spends,
        lambda times: Revenue(buyers=0.05, sigma=1.0, scale=times),
        spends.variance / spends.mean**2,
        expected=expected,
    )


def moved(arm: ArmOverTime, aggregation: Aggregation, times: float, rng: np.random.Generator) -> ArmOverTime:
    """Return an arm whose mean is so many times what it was, at every look.

    Of conversions a share is left out, so that it must be below 1; other values are multiplied.
    """
    if aggregation is not Aggregation.OCCURRENCE:
        return replace(arm, y=times * arm.y, yy=times * times * arm.yy)
    new = np.diff(arm.y, axis=1, prepend=0).astype(np.int64)
    y = rng.binomial(new, times).cumsum(axis=1).astype(float)
    return ArmOverTime(arm.n, y, y, y, y)


def _accruing(
    case: accruing.Case,
    expected: ExpectedDirection = NOT_DECREASE,
    *,
    margin: float | None = None,
    has_effect: bool = True,
    is_limit: bool = False,
) -> Study:
    """Return a study of values that accrue; without another margin it is what a fixed sample finds at the end."""
    traffic = case.traffic

    def run(seed: Seed, experiments: int) -> Counter[str]:
        width, found = margin or accruing.lift_found(traffic), Counter[str]()
        for start in range(0, experiments, accruing.CHUNK):
            size = min(accruing.CHUNK, experiments - start)
            control, treatment = draw_arms(traffic, (*seed, start), size, case.looks)
            if has_effect:
                rng = np.random.default_rng((*seed, start, 1))
                treatment = moved(treatment, traffic.aggregation, factor_of(expected, width), rng)
            found += guarded(accruing.paths_of_arms(traffic.aggregation, control, treatment), expected, width)
        return found

    words = [f"Guardrail {expected.value}, {case.name.removesuffix(', no design')}"]
    words += [f"margin of {margin:.0%}"] if margin else []
    words += ["effect of the margin" if has_effect else "no effect"]
    readings: tuple[Reading, ...] = AT_MARGIN if has_effect else EQUAL_ACCRUING
    if is_limit:
        readings = tuple(replace(each, high=1.0) for each in readings)
    return Study(("Known limit: " if is_limit else "") + ", ".join(words), run, readings, share=0.2)


def _arriving(share: float, identities: int) -> accruing.Case:
    """Return conversions of identities that arrive all the time and act less and less."""
    traffic = Traffic(Aggregation.OCCURRENCE, identities, accruing.hazard(share), enrolled_within=1.0)
    return accruing.Case(replace(traffic, rates=Rates.DECAYING))


MANY = ((0.7, 5_000), (0.9, 4_000))  # shares that have converted by the end, and identities of an arm

GUARDRAILS = (
    *_conversions(0.05, 0.1, NOT_DECREASE).studies(30),
    *_conversions(0.05, 0.1, NOT_DECREASE).studies(720),
    *_conversions(0.05, 0.1, NOT_INCREASE).studies(30),
    *_conversions(0.7, 0.02, NOT_DECREASE).studies(30),
    *Guardrail("Poisson counts", Counts(0.5), lambda times: Counts(0.5 * times), 1 / 0.5).studies(30),
    *_revenue(NOT_DECREASE).studies(30),
    *_revenue(NOT_DECREASE).studies(720),
    *_revenue(NOT_INCREASE).studies(30),
    *(
        _accruing(case, expected, has_effect=has_effect)
        for case, expected in (
            (accruing.CONVERSIONS, NOT_DECREASE),
            (accruing.COUNTS, NOT_DECREASE),
            (accruing.REVENUE, NOT_DECREASE),
            (accruing.REVENUE, NOT_INCREASE),
            (accruing.ARRIVING, NOT_DECREASE),
        )
        for has_effect in (True, False)
    ),
    *(_accruing(_arriving(share, identities), margin=0.02) for share, identities in MANY),
    _accruing(accruing.changed(accruing.REVENUE, refunded=0.5, rates=Rates.DECAYING)),
    *(_accruing(_arriving(0.95, 4_000), margin=margin, is_limit=True) for margin in (0.02, 0.05)),
)
