"""A refresh tells what moved since the look before (rule R9)."""

from typing import Any

from experiment_pipeline.times import iso_utc
from tests.assets.conftest import Installation, crowd, exposure, installation, purchase

__all__ = ["installation"]

NOTHING = {
    "late_events": 0,
    "restated_identities": 0,
    "newly_quarantined": 0,
    "removed_events": 0,
    "erased": 0,
}


def look(installation: Installation) -> dict[str, Any]:
    payload = installation.state().payload
    assert payload is not None
    found: dict[str, Any] = payload["look"]
    return found


def test_look__of_several_refreshes__has_its_number_and_what_moved(installation: Installation) -> None:
    installation.land("first", crowd(20, 20))
    installation.ingest()
    installation.refresh()
    first = {"number": 1, "previous_as_of": None, "new_identities": 40, "restated": NOTHING, "code_changed": False}
    assert look(installation) == first
    as_of = installation.state().as_of
    assert as_of is not None
    late = [purchase("b-19", 10), purchase("control-0", 1), exposure("b-0", "control", hours=3), exposure("new", "b")]
    installation.land("late", late)
    installation.ingest()
    installation.refresh()
    assert look(installation) == {
        "number": 2,
        "previous_as_of": iso_utc(as_of),
        "new_identities": 1,
        "restated": {**NOTHING, "late_events": 4, "restated_identities": 2, "newly_quarantined": 1},
        "code_changed": False,
    }
    numbers = [each.number for each in installation.registry.looks.list(installation.experiment().id)]
    assert numbers == [2, 1]
