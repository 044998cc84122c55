"""Whether exposures came under another spelling of the flag's name: SDKs send the name as the application wrote it."""

import unicodedata

from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs


def judge_spelling(inputs: HealthInputs) -> Finding:
    """Return a warning that names every other spelling with its exposures and identities."""
    flag, others = inputs.experiment.feature, inputs.lake.other_spellings
    evidence = {
        "flag": flag,
        "spellings": {
            name: {"exposures": seen.exposures, "identities": seen.identities} for name, seen in others.items()
        },
    }
    if not others:
        return Finding("flag_spelled_alike", Severity.OK, "Flag spelled alike", "No other spelling was seen.", evidence)
    told = ", ".join(
        f"{quoted(name)}{_form(name, flag)} ({seen.exposures:,} exposures of {seen.identities:,} identities)"
        for name, seen in others.items()
    )
    detail = (
        f"Exposures of {quoted(flag)} also came as {told}: they do not count. Names are compared letter by letter: "
        "let the application ask for the flag by the declared name, and send the events again under it."
    )
    return Finding("flag_spelled_otherwise", Severity.WARNING, "Flag spelled otherwise", detail, evidence)


def _form(name: str, flag: str) -> str:
    """Return what tells two names apart that look the same."""
    looks_the_same = unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", flag)
    return " in another Unicode form" if looks_the_same else ""


CHECK = HealthCheck(
    name="flag_spelled_alike",
    artifact="srm",
    description="No exposures of the flag came under another case, with spaces, or in another Unicode form.",
    judge=judge_spelling,
    in_place=False,
)
