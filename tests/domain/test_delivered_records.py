"""Delivered records of an environment, added up over batches (rules E3, E4)."""

from experiment_pipeline.domain.delivered_records import DeliveredRecords, EnvironmentCounts, delivered_records


def counts(accepted: int, duplicates: int = 0, **reasons: dict[str, int]) -> EnvironmentCounts:
    return EnvironmentCounts(
        accepted=accepted,
        duplicates=duplicates,
        rejected=reasons.get("rejected", {}),
        retried=reasons.get("retried", {}),
    )


def test_delivered_records__of_several_batches__are_added_up_without_what_was_taken_in_again() -> None:
    first = counts(10, 2, rejected={"not_json": 3, "unknown_environment": 5})
    retry = counts(4, 0, rejected={"empty:identifier": 1}, retried={"unknown_environment": 5})
    found = delivered_records([first, None, retry])
    assert found == DeliveredRecords(2, 1, 14, 2, {"empty:identifier": 1, "not_json": 3})
    assert (found.events, found.all_rejected, found.most_frequent_reason) == (16, 4, "not_json")
    assert "1 batches of a release that did not count" in found.without_uncounted


def test_delivered_records__taken_in_from_an_uncounted_batch__are_not_subtracted() -> None:
    assert delivered_records([None, counts(4, retried={"not_json": 4})]) == DeliveredRecords(1, 1, 4)


def test_delivered_records__of_nothing__are_none() -> None:
    found = delivered_records([])
    assert found == DeliveredRecords()
    assert (found.most_frequent_reason, found.without_uncounted) == (None, "")


def test_most_frequent_reason__of_equal_ones__is_the_first_by_name() -> None:
    assert DeliveredRecords(rejected={"not_json": 2, "bad_timestamp": 2}).most_frequent_reason == "bad_timestamp"
