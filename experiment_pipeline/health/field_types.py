"""Whether the properties that conditions, slices and dimensions read came in one type each (rule M7)."""

from experiment_pipeline.domain.events import EXPOSURE_EVENT
from experiment_pipeline.domain.field_types import FieldType, FieldTypes
from experiment_pipeline.domain.texts import printable, quoted
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs

LISTED = 20  # properties that are named
NAMES = {  # of one, and of several
    FieldType.NUMBER: ("number", "numbers"),
    FieldType.TEXT: ("text", "texts"),
    FieldType.BOOLEAN: ("boolean", "booleans"),
    FieldType.NESTED: ("object or array", "objects or arrays"),
}


def judge_field_types(inputs: HealthInputs) -> Finding:
    """Return a warning with the number of events of each type, and some of the values."""
    mixed = inputs.lake.mixed_fields[:LISTED]
    evidence = {"fields": [_evidence(each) for each in mixed]}
    if not mixed:
        detail = "Every property that is compared came in one type."
        return Finding("fields_of_one_type", Severity.OK, "Properties of one type", detail, evidence)
    detail = (
        f"{'; '.join(map(_told, mixed))}. A condition compares numbers with numbers alone, texts with texts alone, and "
        'objects and arrays with nothing; a breakdown takes 1 and "1" for one value. Send each property in one type.'
    )
    return Finding("mixed_field_types", Severity.WARNING, "Properties of several types", detail, evidence)


def _evidence(found: FieldTypes) -> dict[str, object]:
    return {
        "event": found.event,
        "field": found.path,
        "counts": {of.value: count for of, count in found.counts.items()},
        "samples": {of.value: list(samples) for of, samples in found.samples.items()},
    }


def _told(found: FieldTypes) -> str:
    where = "the exposures" if found.event == EXPOSURE_EVENT else quoted(found.event)
    counts = ", ".join(f"{count:,} {NAMES[of][count != 1]}{_samples(found, of)}" for of, count in found.counts.items())
    return f"{printable(found.path)} of {where} came as {counts}"


def _samples(found: FieldTypes, of: FieldType) -> str:
    samples = found.samples.get(of, ())
    return f" ({', '.join(map(printable, samples))})" if samples else ""


CHECK = HealthCheck(
    name="fields_of_one_type",
    artifact="bayesian_results",
    description="The properties that conditions, slices and dimensions read came in one type each (rule M7).",
    judge=judge_field_types,
    in_place=False,
)
