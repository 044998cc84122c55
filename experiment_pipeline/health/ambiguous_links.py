"""Whether anonymous identities have links to several known ones: such a link counts for none of them (rule D6)."""

from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.health_check import HealthCheck
from experiment_pipeline.health.inputs import HealthInputs


def judge_links(inputs: HealthInputs) -> Finding:
    """Return a warning with the number of such identities."""
    found = inputs.lake.ambiguous_links
    evidence = {"identities": found}
    if not found:
        detail = "Every anonymous identity has links to one known identity at most."
        return Finding("links_to_one_identity", Severity.OK, "Links to one identity each", detail, evidence)
    detail = (
        f"{found:,} anonymous identities of the environment have links to several known ones: these links count for "
        "nothing, and each such identity is analysed as itself. Devices that several people share are a common cause: "
        "link an identifier of the session, or of the login, in the place of the device's."
    )
    return Finding("ambiguous_link", Severity.WARNING, "Links to several identities", detail, evidence)


CHECK = HealthCheck(
    name="links_to_one_identity",
    artifact="srm",
    description="No anonymous identity has links to several known ones, which count for none of them (rule D6).",
    judge=judge_links,
    in_place=False,
)
