"""Anonymous identities with links to several known ones (rule D6)."""

from dataclasses import replace

from experiment_pipeline.health.ambiguous_links import CHECK
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.inputs import LakeCounts
from tests.health.test_split import inputs


def found(identities: int) -> Finding:
    return CHECK.judge(replace(inputs({"control": 50, "b": 50}), lake=LakeCounts(ambiguous_links=identities)))


def test_links__to_one_identity_each__pass() -> None:
    assert (found(0).code, found(0).passed) == ("links_to_one_identity", True)


def test_links__to_several_identities__are_a_warning_with_their_number() -> None:
    finding = found(1_200)
    assert (finding.code, finding.severity) == ("ambiguous_link", Severity.WARNING)
    assert finding.detail.startswith("1,200 anonymous identities of the environment have links to several known ones")
    assert finding.evidence == {"identities": 1_200}
