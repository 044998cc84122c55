"""Whether exposures name variants that are not declared, and which declared ones they probably mean (rule X6)."""

from heapq import nsmallest

from experiment_pipeline.domain.experiments import VariantRole
from experiment_pipeline.domain.texts import nearest, quoted
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs

LISTED = 20  # names in the evidence
TOLD = 5  # of these, in the sentence


def judge_variants(inputs: HealthInputs) -> Finding:
    """Return a warning that names undeclared variants with their identities, and the nearest declared one of each."""
    experiment, counted = inputs.experiment, inputs.identities
    declared = experiment.variant_keys
    known = {*declared, *experiment.ignored_variants}
    undeclared = {variant: n for variant, n in counted.items() if variant not in known}
    largest = nsmallest(LISTED, undeclared.items(), key=lambda item: (-item[1], item[0]))
    near = {variant: next(iter(nearest(variant, declared, 1)), None) for variant, _ in largest}
    holdouts = (each.key for each in experiment.variants if each.role is VariantRole.HOLDOUT and each.key is not None)
    evidence = {
        "variants": {quoted(variant): {"identities": n, "nearest": near[variant]} for variant, n in largest},
        "undeclared_variants": len(undeclared),
        "identities": sum(undeclared.values()),
        "holdout": {key: counted.get(key, 0) for key in holdouts},
    }
    if not undeclared:
        detail = "Every variant that was seen is declared, or ignored."
        return Finding("variants_declared", Severity.OK, "Variants declared", detail, evidence)
    told = [
        f"{quoted(variant)} ({n:,} identities{f', probably {quoted(near[variant] or str())}' if near[variant] else ''})"
        for variant, n in largest[:TOLD]
    ]
    more = len(undeclared) - len(told)
    detail = (
        f"Not declared: {', '.join(told)}{f' and {more:,} more' if more else ''}; declared are "
        f"{', '.join(map(quoted, declared))}. Identities in other variants are compared with nobody: let the flag "
        "serve the declared values, or name those of testers in ignored_variants."
    )
    return Finding("undeclared_variants", Severity.WARNING, "Undeclared variants", detail, evidence)


CHECK = HealthCheck(
    name="variants_declared",
    artifact="srm",
    description="Every variant value that was seen is declared in the experiment or ignored (rule X6).",
    judge=judge_variants,
)
