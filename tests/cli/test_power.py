"""`experiment-pipeline power`: from what is stored, or measured first."""

import json
from typing import Any

from tests.cli.conftest import Run
from tests.cli.test_metric_preview import filled

__all__ = ["filled"]  # a fixture


def plans(run: Run, *arguments: object) -> list[dict[str, Any]]:
    result = run("power", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_power__of_a_metric_that_nobody_measured__measures_and_stores_it(filled: Run) -> None:
    found = plans(filled, "revenue", "--mde", "0.5")
    assert [plan["variants"] for plan in found] == [2, 3, 4, 5]
    measured = found[0]["measured"]
    assert (measured["source"], measured["identities"], measured["experiment_id"]) == ("preview", 9, None)
    capped, uncapped = found[0]["readings"]
    assert (capped["capped"], uncapped["capped"]) == (True, False)
    assert capped["once"]["days"] > 0
    assert plans(filled, "revenue", "--mde", "0.5") == found  # from what is stored
    (anew,) = plans(filled, "revenue", "--experiment", "checkout", "--variants", "3", "--no-cap")
    assert (anew["measured"]["identities"], anew["measured"]["experiment_id"], anew["mde"]) == (8, 1, None)
    assert [reading["capped"] for reading in anew["readings"]] == [False]


def test_power__in_a_terminal__has_a_table_by_the_number_of_variants(filled: Run) -> None:
    text = " ".join(filled("power", "revenue", "--mde", "0.5").stdout.split())
    for words in (
        "revenue, measured by a preview over everybody, ",
        "alpha 0.05, power 0.8, traffic: 0.64 new identities a day",
        "with cap and floor: 10, standard deviation",
        "variants looked at for 50 %: identities days detects in 7 days",
        "2 once ",
        "5 every look ",
        "without cap and floor: ",
    ):
        assert words in text, text
    other = " ".join(filled("power", "revenue", "--power", "0.9", "--mde", "0.5").stdout.split())
    assert "Withheld: how much more it takes is known at an alpha of 0.05 and a power of 0.8 alone." in other
    without_mde = " ".join(filled("power", "revenue", "--power", "0.9").stdout.split())
    assert "Withheld: how much more it takes is known at an alpha of 0.05 and a power of 0.8 alone." in without_mde


def test_power__of_an_experiment__names_it_by_its_key(filled: Run) -> None:
    text = " ".join(filled("power", "revenue", "--experiment", "checkout").stdout.split())
    assert "measured by a preview over experiment checkout, " in text


def test_power__that_cannot_be__says_why(filled: Run) -> None:
    for arguments, message in (
        (("revenu",), "No metric 'revenu' in environment production. Did you mean 'revenue'?"),
        (("revenue", "--mde", "7"), "mde: Must be a share above 0 and below 5"),
        (("revenue", "--covariate"), "covariate: 'revenue' has no pre-period"),
        (("revenue", "--variants", "1"), "1 is not in the range 2<=x<=20"),
        (("revenue", "--experiment", "checkout", "--days", "7"), "Give --experiment or --days, not both"),
    ):
        refused = filled("power", *arguments)
        assert refused.exit_code == 2, refused.output
        assert message in refused.stderr
