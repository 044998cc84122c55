"""What identities that have no value yet do to a mean in which they count as 0 (rules C1, M3).

While identities arrive, those who have just come have no value. How many they are in either arm differs by chance, and
anew with every few who come: that part of the difference is as fast as the share of a conversion that nearly all make,
and faster than the evidence of a mean. docs/adr/0038 has what was measured.
"""

import math
from dataclasses import replace

import numpy as np

from experiment_pipeline.domain.aggregates import VariantAggregate
from experiment_pipeline.stats.confidence_sequence import boundary
from experiment_pipeline.stats.evidence import LARGEST, UNPLANNED, Evidence, pooled_standard_error

LEVEL = 0.05  # at which both boundaries are compared, whatever the level of the verdict, so that there is one p-value


def widened_for_late_values(
    evidence: Evidence, control: VariantAggregate, treatment: VariantAggregate, with_value: tuple[int, int]
) -> Evidence:
    """Return the evidence of a mean, with the standard error that the identities without a value ask for.

    The difference has two parts: of the values that there are, and of who has one. The first is judged by the evidence
    of the mean, whose boundary is u; the second is judged as a conversion is, without a design, and u' is that
    boundary. With r the second part's share of the variance, the standard error is taken as
    `SE sqrt(1 - r + r (u' / u)^2)`, never less than SE.

    Args:
        evidence: of the mean, from `accrued_evidence`.
        control: the arm that is compared with, of two identities or more; identities without a value are 0 in it.
        treatment: the arm that is compared, likewise.
        with_value: identities of control and treatment that have a value.

    Returns:
        The same evidence where all or none have a value, or where values differ so much that it hardly matters.

    Example:
        >>> arm = VariantAggregate(n=1_000, mean=0.9, m2=100.0)  # nine in ten have a value, of about 1
        >>> evidence = Evidence(4_500.0, ((0.1, 1.0),))
        >>> round(widened_for_late_values(evidence, arm, arm, (900, 900)).error_factor, 3)
        1.31
    """
    share = sum(with_value) / (control.n + treatment.n)
    error = pooled_standard_error(control, treatment)
    if not 0 < share < 1 or error == 0:
        return evidence
    odds, n = share / (1 - share), control.n * (treatment.n / (control.n + treatment.n))
    mean_of_values = (control.sum + treatment.sum) / sum(with_value)
    of_who_has_one = min(1.0, (mean_of_values / error) ** 2 * share * (1 - share) / n)
    as_conversion = min(n * odds * (1 + odds**2), LARGEST)
    wider = _boundary(Evidence(as_conversion, UNPLANNED)) / _boundary(evidence)
    return replace(evidence, error_factor=math.sqrt(1 + of_who_has_one * max(0.0, wider**2 - 1)))


def _boundary(evidence: Evidence) -> float:
    return float(boundary(np.array(evidence.amount), evidence.mixture, LEVEL))
