"""Differences of payloads: every place, to the last bit."""

import math

from experiment_pipeline.replay.differences import MISSING, Difference, differences

PUBLISHED = {"srm": {"p": 0.5}, "metrics": [{"n": 1}, {"n": 2}], "trustworthy": True}


def test_differences__of_the_same__are_none() -> None:
    assert list(differences(PUBLISHED, {**PUBLISHED, "srm": {"p": 0.5}})) == []


def test_differences__of_the_last_bit__are_found() -> None:
    other = math.nextafter(0.5, 1)
    assert list(differences(PUBLISHED, {**PUBLISHED, "srm": {"p": other}})) == [Difference("srm.p", 0.5, other)]


def test_differences__of_members_and_elements__name_what_is_missing() -> None:
    replayed = {"srm": {"p": 0.5, "reason": None}, "metrics": [{"n": 1}]}
    assert list(differences(PUBLISHED, replayed)) == [
        Difference("srm.reason", MISSING, None),
        Difference("metrics[1]", {"n": 2}, MISSING),
        Difference("trustworthy", True, MISSING),
    ]


def test_differences__of_type__are_found() -> None:
    assert list(differences({"n": 1, "is": True}, {"n": 1.0, "is": 1})) == [
        Difference("n", 1, 1.0),
        Difference("is", True, 1),
    ]
