"""Many looks at any statistic: how often an A/A test is called a difference, on the clock that the statistic has."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from experiment_pipeline.domain.experiments import Design
from experiment_pipeline.domain.measures import Clock
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.stats.confidence_sequence import log_mixture
from experiment_pipeline.stats.evidence import LARGEST, LARGEST_EXPONENT, LARGEST_ODDS, UNPLANNED, planned_lift

MINIMUM_IDENTITIES = 50


@dataclass(frozen=True, slots=True)
class Looks:
    """One arm at every look: arrays of shape (experiments, looks).

    Attributes:
        n: identities in the statistic.
        mean: what it comes to; nan where nothing can be said.
        m2: its squared error times `n (n - 1)`.
        events: that have counted.
        counted: what the floor is about.
    """

    n: Floats
    mean: Floats
    m2: Floats
    events: Floats
    counted: Floats


def log_evidence(control: Looks, treatment: Looks, clock: Clock, design: Design, floor: float) -> Floats:
    """Return `log M` of every experiment at every look; 0 below the floors."""
    n_c, n_t = np.maximum(control.n, 2), np.maximum(treatment.n, 2)
    own = np.sqrt(control.m2 / (n_c - 1) / n_c + treatment.m2 / (n_t - 1) / n_t)
    pooled = np.sqrt((control.m2 + treatment.m2) / (n_c + n_t - 2) * (1 / n_c + 1 / n_t))
    effect = np.abs(treatment.mean - control.mean)
    enough = np.minimum(control.n, treatment.n) >= MINIMUM_IDENTITIES
    enough &= np.minimum(control.counted, treatment.counted) >= floor
    shown = enough & np.isfinite(effect) & (own > 0)
    z = np.divide(effect, np.maximum(own, pooled), out=np.zeros_like(effect), where=shown)
    size = np.sqrt((control.mean**2 + treatment.mean**2) / 2)
    information = np.divide(size, pooled, out=np.zeros_like(effect), where=shown & (pooled > 0)) ** 2
    amount = _amount(clock, control, treatment, information, planned_lift(design) is not None)
    lift = planned_lift(design)
    found = log_mixture(z, np.minimum(amount, LARGEST), UNPLANNED if lift is None else ((lift, 1.0),))
    certain = enough & (own == 0) & (effect > 0)  # two constants that differ
    return np.where(certain, np.inf, np.where(shown, found, 0.0))


def called(control: Looks, treatment: Looks, clock: Clock, design: Design, floor: float) -> Counter[str]:
    """Count experiments that are called a difference at any look."""
    crossed = log_evidence(control, treatment, clock, design, floor) >= -math.log(design.alpha)
    return Counter(experiments=len(crossed), anytime=int(crossed.any(axis=1).sum()))


def _amount(clock: Clock, control: Looks, treatment: Looks, information: Floats, is_planned: bool) -> Floats:
    """`accrued_evidence` over arrays, of every clock but the odds."""
    identities = np.maximum(control.n + treatment.n, 1)
    of_each = (control.events + treatment.events) / identities
    amount = information
    if not is_planned and clock not in (Clock.INFORMATION, Clock.SATURATING):
        amount = control.n * treatment.n / identities * (1.0 if clock is Clock.IDENTITIES else of_each)
    if clock is Clock.SATURATING:
        mean = (control.n * control.mean + treatment.n * treatment.mean) / identities
        variance = (control.m2 + treatment.m2) / np.maximum(identities - 2, 1)
        odds = np.divide(mean, variance, out=np.full_like(mean, LARGEST_ODDS), where=variance > mean / LARGEST_ODDS)
        amount = amount * (1 + np.clip(odds - 1, 0, LARGEST_ODDS) ** 2)
    if clock is Clock.EXTREMES:
        amount = amount * np.maximum(1.0, of_each) ** 2
    if clock is Clock.REPLACED:
        amount = amount * np.exp(np.minimum(2 * np.maximum(0.0, of_each - 1), LARGEST_EXPONENT))
    return amount
