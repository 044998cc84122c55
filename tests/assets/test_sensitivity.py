"""Sensitivity through the pipeline: who is left out is looked at, and holds back a decision to ship (rule X3)."""

from tests.assets.conftest import Installation, exposure, purchase

LEFT_OUT = 300


def test_refresh__winner_that_loses_with_those_who_saw_both__is_not_shipped(
    installation: Installation,
) -> None:
    analysed = [record for number in range(200) for record in (
        exposure(f"c{number}", "control"), exposure(f"b{number}", "b"), purchase(f"b{number}", 10),
        *([purchase(f"c{number}", 10)] if number < 120 else []),
    )]  # fmt: skip
    saw_both = [
        exposure(f"x{number}", variant, hours)
        for number in range(LEFT_OUT)
        for variant, hours in (("b", 1), ("control", 3))
    ]
    installation.land("first", [*analysed, *saw_both])
    installation.ingest()
    assert installation.refresh().success
    payload = installation.state().payload
    assert payload is not None
    assert payload["metrics"][0]["verdict"] == {"b": "winning"}
    found = payload["sensitivity"]
    assert {key: each["n"] for key, each in found["readings"]["first"]["variants"].items()} == {
        "control": 200,
        "b": 200 + LEFT_OUT,
    }
    assert found["contradicted"] == ["b"]
    assert (payload["decision"]["rule"], payload["decision"]["treatment"]) == ("5_readings_disagree", None)
