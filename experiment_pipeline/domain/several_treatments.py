"""What several treatments cost: the sample that a verdict takes grows with their number."""

import math

from experiment_pipeline.domain.experiments import Experiment, VariantRole

# Fixed samples that the anytime-valid verdict takes for 80 % power at the design's lift, looked at 30 times, where one
# treatment moves: computed for 1 to 10 treatments, and met by this line to 0.02. 720 looks take 0.05 less.
OF_ONE_TREATMENT, OF_THE_LOGARITHM = 1.49, 0.343


def sample_factor(treatments: int) -> float:
    """Return how many fixed samples the verdict on one of several treatments takes for 80 % power.

    The primary metric is judged by Holm's procedure, each treatment at first at alpha over their number. A fixed sample
    is that of a single look and a single treatment, with 80 % power at the design's lift.

    Raises:
        ValueError: there is no treatment.

    Example:
        >>> [round(sample_factor(treatments), 2) for treatments in (1, 2, 4)]
        [1.49, 1.73, 1.97]
    """
    if treatments < 1:
        raise ValueError(f"treatments: must be at least 1, got {treatments}")
    return OF_ONE_TREATMENT + OF_THE_LOGARITHM * math.log(treatments)


def several_treatments_warnings(experiment: Experiment) -> list[str]:
    """Return a warning for a design that is shared by several treatments: 1.6 times the fixed sample is not enough."""
    treatments = sum(variant.role is VariantRole.TREATMENT for variant in experiment.variants)
    if treatments < 2 or not experiment.design.mde:
        return []
    return [
        f"variants: {treatments} treatments share the error rate. For 80 % power at the mde each needs "
        f"{sample_factor(treatments):.2f} times the sample of a test that is looked at once; a single treatment needs "
        f"{sample_factor(1):.2f} times."
    ]
