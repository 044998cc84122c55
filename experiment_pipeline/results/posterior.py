"""The lift on the primary metric under the prior that an experiment declares, beside the one without; in no verdict."""

from experiment_pipeline.domain.experiments import Prior
from experiment_pipeline.results.comparisons import Compared
from experiment_pipeline.stats.bayesian import InformedLift, LiftPrior, informed_lift
from experiment_pipeline.stats.not_computable import NotComputable


def posterior_lifts(primary: Compared, prior: Prior | None) -> dict[str, InformedLift | NotComputable]:
    """Return the lift of every treatment under the prior, as the metric is measured; empty without a prior.

    Withheld where the lift is.
    """
    if prior is None:
        return {}
    known = LiftPrior(prior.mean, prior.standard_deviation)
    better, alpha = primary.attached.better_direction, primary.design.alpha
    return {
        key: pair
        if isinstance(pair, NotComputable)
        else informed_lift(pair.control, pair.treatment, known, better, alpha=alpha)
        for key, pair in primary.pairs.items()
    }
