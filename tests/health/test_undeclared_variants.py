"""Variant values that nobody declared (rule X6)."""

import json
from collections.abc import Mapping
from dataclasses import replace

from experiment_pipeline.domain.experiments import Variant, VariantRole
from experiment_pipeline.health.finding import Finding, Severity
from experiment_pipeline.health.undeclared_variants import CHECK
from tests.health.test_split import CHECKOUT, inputs

WITH_HOLDOUT = replace(
    CHECKOUT, ignored_variants=("tester",), variants=(*CHECKOUT.variants, Variant("held_back", VariantRole.HOLDOUT, 5))
)


def found(identities: Mapping[str, int]) -> Finding:
    given = inputs({"control": 50, "b": 50})
    return CHECK.judge(replace(given, experiment=WITH_HOLDOUT, identities=identities))


def test_variants__declared_ignored_and_a_holdout__pass_and_the_holdout_stands_apart() -> None:
    finding = found({"control": 50, "b": 50, "held_back": 7, "tester": 3})
    assert finding.passed
    assert finding.evidence["holdout"] == {"held_back": 7}


def test_variants__undeclared_ones__are_named_with_counts_and_the_nearest_declared_one() -> None:
    finding = found({"control": 50, "Control": 120, "purple": 3, "held_back": 7})
    assert (finding.code, finding.severity) == ("undeclared_variants", Severity.WARNING)
    assert finding.detail.startswith(
        "Not declared: 'Control' (120 identities, probably 'control'), 'purple' (3 identities); "
        "declared are 'control', 'b', 'held_back'."
    )
    assert json.loads(json.dumps(finding.evidence)) == {
        "variants": {
            "'Control'": {"identities": 120, "nearest": "control"},
            "'purple'": {"identities": 3, "nearest": None},
        },
        "undeclared_variants": 2,
        "identities": 123,
        "holdout": {"held_back": 7},
    }


def test_variants__as_many_as_identities__are_listed_up_to_twenty() -> None:
    finding = found({"y" * 65_535: 9} | {f"made up {number}": 1 for number in range(300)})
    assert len(finding.evidence["variants"]) == 20
    assert finding.evidence["undeclared_variants"] == 301
    assert f"'{'y' * 60} ...' (9 identities)" in finding.detail
    assert "and 296 more;" in finding.detail
    assert len(json.dumps(finding.evidence)) < 3000
