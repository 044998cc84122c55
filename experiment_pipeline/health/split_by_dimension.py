"""Whether identities split as configured within each value of a dimension, too (rules S3, M15)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from experiment_pipeline.domain.aggregates import Group, Part
from experiment_pipeline.domain.audience import crossed_name, crossed_values
from experiment_pipeline.domain.texts import printable, quoted
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs
from experiment_pipeline.stats.multiplicity import holm
from experiment_pipeline.stats.not_computable import NotComputable
from experiment_pipeline.stats.srm import SRM_ALPHA, anytime_srm_test

NAMED, LISTED = 3, 20  # values in the sentence, and in the evidence


@dataclass(frozen=True, slots=True)
class Cell:
    """The split within one value of a dimension, or of two crossed ones.

    Attributes:
        identities: analysed ones, by compared variant.
        p_value: of the anytime-valid test; None where there are too few identities for it.
        adjusted_p_value: by Holm over all values of all dimensions.
    """

    group: Group
    identities: dict[str, int]
    p_value: float | None
    adjusted_p_value: float


def judge_split_by_dimension(inputs: HealthInputs) -> Finding:
    """Return a warning that names the values in which the shares are not those configured, the worst first.

    Many values are tested: Holm over all of them holds the chance that any sound one is named at 0.001, as the test of
    the whole split has it, at every refresh of the values that are listed. `other` is not tested: values leave and
    join it, and the test is one of identities that only ever become more.
    """
    cells = sorted(_cells(inputs), key=lambda cell: (cell.adjusted_p_value, cell.p_value or 0.0, cell.group.name))
    worst = [cell for cell in cells if cell.adjusted_p_value <= SRM_ALPHA]
    evidence = {
        "tested": sum(cell.p_value is not None for cell in cells),
        "values": [_evidence(each) for each in worst[:LISTED]],
    }
    if not worst:
        detail = f"The split of no value of a dimension contradicts the configured shares, of {len(cells):,} values."
        return Finding("split_by_dimension_as_configured", Severity.OK, "Split by dimension", detail, evidence)
    more = f", and {len(worst) - NAMED:,} more" if len(worst) > NAMED else ""
    crossed = {crossed_name(pair) for pair in inputs.experiment.audience.cross}
    told = [_told(each, is_crossed=each.group.name in crossed) for each in worst[:NAMED]]
    detail = (
        f"In {len(worst):,} of {len(cells):,} values the split is too far from the configured shares to be chance: "
        f"{'; '.join(told)}{more}. Look for exposures of these identities that are lost, or sent "
        "twice, in one variant alone; do not decide on the effects within these values."
    )
    return Finding("mismatch_by_dimension", Severity.WARNING, "Sample ratio mismatch by dimension", detail, evidence)


def _cells(inputs: HealthInputs) -> Iterator[Cell]:
    """Yield the split within every listed value; all metrics have the same identities."""
    shares = inputs.results.split.shares
    of_groups = {
        group: {
            key: found.identities.get(key, 0) + found.not_mature.get(key, 0) for key in inputs.results.split.identities
        }
        for metric in inputs.aggregates[:1]
        for group, found in metric.groups.items()
        if group.part is Part.DIMENSION and not group.is_other
    }
    p_values = [_p_value(identities, shares) for identities in of_groups.values()]
    every = holm([1.0 if p_value is None else p_value for p_value in p_values])
    for (group, identities), p_value, adjusted in zip(of_groups.items(), p_values, every, strict=True):
        yield Cell(group, identities, p_value, adjusted)


def _p_value(identities: Mapping[str, int], shares: Mapping[str, float]) -> float | None:
    test = anytime_srm_test(identities, shares)
    return None if isinstance(test, NotComputable) else test.p_value


def _evidence(cell: Cell) -> dict[str, object]:
    return {
        "dimension": cell.group.name,
        "value": cell.group.value,
        "identities": cell.identities,
        "p_value": cell.p_value,
        "adjusted_p_value": cell.adjusted_p_value,
    }


def _told(cell: Cell, *, is_crossed: bool) -> str:
    value = cell.group.value
    values = (value,) if value is None or not is_crossed else crossed_values(value)
    words = ", ".join("without a value" if each is None else quoted(each) for each in values)
    counts = ", ".join(f"{printable(variant)}: {count:,}" for variant, count in cell.identities.items())
    return f"{printable(cell.group.name)} {words} ({counts})"


CHECK = HealthCheck(
    name="split_by_dimension",
    artifact="srm",
    description="No sample ratio mismatch within a value of a dimension, by Holm over all values at 0.001 (rule S3).",
    judge=judge_split_by_dimension,
)
