"""The self-check through the pipeline: once a day and at the end, and what it finds."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from experiment_pipeline.health.self_check import CHECK
from experiment_pipeline.registry import tables
from experiment_pipeline.registry.engine import writing
from experiment_pipeline.times import iso_utc
from tests.assets.conftest import Installation, exposure, purchase
from tests.assets.test_late_events import complete

ARM = 700


def shoppers(largest: float | None = None) -> list[dict[str, Any]]:
    """Identities of both arms, three in five of whom buy; one of control may spend far more than all others."""
    numbers = random.Random(4)
    records = []
    for variant in ("control", "b"):
        for number in range(ARM):
            who = f"{variant}-{number}"
            records.append(exposure(who, variant))
            if numbers.random() < 0.6:
                records.append(purchase(who, round(numbers.lognormvariate(2, 0.5), 2)))
    return records if largest is None else [*records, purchase("control-0", largest)]


def finding(installation: Installation) -> dict[str, Any]:
    stored = installation.registry.health.get(installation.experiment().id)
    assert stored is not None
    (found,) = [each for each in stored.findings if each["check"] == CHECK.name]
    return dict(found)


def refreshed(installation: Installation) -> dict[str, Any]:
    assert installation.refresh().success
    return finding(installation)


def say_checked(installation: Installation, as_of: datetime) -> None:
    """Move the stored self-check to another moment."""
    health = installation.registry.health
    stored = health.get(installation.experiment().id)
    assert stored is not None
    findings = [dict(each) for each in stored.findings]
    for each in findings:
        if each["check"] == CHECK.name:
            each["evidence"] = {**each["evidence"], "as_of": iso_utc(as_of)}
    with writing(health.database) as connection:
        connection.execute(update(tables.health).values(findings=findings))


def test_refresh__of_a_healthy_arm__says_how_often_it_differs_from_itself(installation: Installation) -> None:
    installation.land("first", shoppers())
    installation.ingest()
    found = refreshed(installation)
    assert (found["code"], found["severity"]) == ("control_agrees_with_itself", "ok")
    calls = {name: each["calls"] for name, each in found["evidence"]["metrics"].items()}
    assert all(2 <= number <= 21 for number in calls.values())
    assert calls.keys() == {"bought", "spent"}


def test_refresh__of_an_arm_whose_sum_one_identity_holds__warns(installation: Installation) -> None:
    """Whichever half has that identity, its error is as large as the difference: no test ever calls one."""
    installation.land("first", shoppers(largest=1e6))
    installation.ingest()
    result = installation.refresh()
    found = finding(installation)
    assert (found["code"], found["severity"]) == ("self_check_failed", "warning")
    assert found["evidence"]["metrics"]["spent"] == {"calls": 0, "reason": None}
    (outcome,) = [each for each in result.get_asset_check_evaluations() if each.check_name == CHECK.name]
    assert not outcome.passed
    payload = installation.state().payload
    assert payload is not None
    assert payload["decision"]["rule"] != "3_health_error"  # a warning holds nothing back


def test_refresh__of_few_identities__says_that_it_is_skipped(installation: Installation) -> None:
    installation.land("first", [exposure("a", "control"), exposure("b", "b"), purchase("a", 5)])
    installation.ingest()
    found = refreshed(installation)
    assert found["code"] == "self_check_skipped"
    assert {each["reason"] for each in found["evidence"]["metrics"].values()} == {"below_minimum_identities"}


def test_refresh__again_on_the_same_day__keeps_the_self_check_and_on_the_next_makes_it_anew(
    installation: Installation,
) -> None:
    installation.land("first", shoppers())
    installation.ingest()
    first = refreshed(installation)
    assert datetime.fromisoformat(first["evidence"]["as_of"]).date() == datetime.now(UTC).date()
    assert refreshed(installation) == first
    say_checked(installation, datetime.now(UTC) - timedelta(days=1))
    assert refreshed(installation)["evidence"]["as_of"] > first["evidence"]["as_of"]


def test_refresh__as_of_the_end__makes_the_self_check_anew(installation: Installation) -> None:
    installation.land("first", shoppers())
    installation.ingest()
    first = refreshed(installation)
    complete(installation, "checkout")
    assert refreshed(installation)["evidence"]["as_of"] > first["evidence"]["as_of"]
