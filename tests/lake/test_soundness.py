"""Which registry and lake fit, and what is said where they do not (rules R3, E7)."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from experiment_pipeline.domain.batches import Installation, LedgerState, PlannedBatch
from experiment_pipeline.errors import LakeError, UnsoundLake
from experiment_pipeline.lake.batch_commits import BatchSummary
from experiment_pipeline.lake.delta import EVENTS, REJECTED, DataFile, Snapshot
from experiment_pipeline.lake.soundness import Flaw, LakeState, batches_of, compare, named, require_sound
from tests.lake.ledger import NOW

OURS = Installation("ours", "lake-1")


@pytest.mark.parametrize(
    ("ledger", "lake"),
    [
        (LedgerState(None, 0, None), LakeState()),
        (LedgerState(None, 0, None), LakeState("lake-1")),  # tables were made, and nothing was planned
        (LedgerState(None, 3, None), LakeState("lake-1", 3, 3)),  # from before there were installations
        (LedgerState(OURS, 3, None), LakeState("lake-1", 3, 3)),
        (LedgerState(OURS, 2, 3), LakeState("lake-1", 2, 2)),  # planned
        (LedgerState(OURS, 2, 3), LakeState("lake-1", 2, 3)),  # its rejected records are in
        (LedgerState(OURS, 2, 3), LakeState("lake-1", 3, 3)),  # its events, too
    ],
)
def test_compare__an_installation_at_any_step_of_an_ingestion__fits(ledger: LedgerState, lake: LakeState) -> None:
    assert compare(ledger, lake) is None


@pytest.mark.parametrize(
    ("ledger", "lake", "flaw", "batches"),
    [
        (LedgerState(OURS, 3, None), LakeState(), Flaw.BATCHES_MISSING, [1, 2, 3]),
        (LedgerState(OURS, 3, None), LakeState("lake-1", 1, 1), Flaw.BATCHES_MISSING, [2, 3]),
        (LedgerState(OURS, 3, None), LakeState("lake-1", 3, 1), Flaw.BATCHES_MISSING, [2, 3]),
        (LedgerState(OURS, 3, None), LakeState("lake-2", 0, 0), Flaw.BATCHES_MISSING, [1, 2, 3]),
        (LedgerState(OURS, 3, None), LakeState("lake-2", 3, 3), Flaw.OTHER_LAKE, []),
        (LedgerState(OURS, 0, 1), LakeState(), Flaw.OTHER_LAKE, []),
        (LedgerState(None, 0, None), LakeState("lake-1", 2, 2), Flaw.LAKE_AHEAD, [1, 2]),
        (LedgerState(OURS, 1, 2), LakeState("lake-1", 3, 4), Flaw.LAKE_AHEAD, [3, 4]),
    ],
)
def test_compare__a_pair_that_does_not_fit__says_which_batches(
    ledger: LedgerState, lake: LakeState, flaw: Flaw, batches: list[int]
) -> None:
    finding = compare(ledger, lake)
    assert finding is not None
    assert (finding.flaw, list(finding.batches)) == (flaw, batches)
    remedy = "registry bind" if lake.events and flaw is Flaw.OTHER_LAKE else "lake repair --dry-run"
    assert finding.message.endswith(f"or see `{remedy}`.")


def test_compare__files_missing__says_the_batches_that_they_may_hold() -> None:
    lost = (DataFile("batch-00000002-x.parquet", {}, 1, 1),)
    finding = compare(LedgerState(OURS, 3, None), LakeState("lake-1", 3, 3, lost_events=lost))
    assert finding is not None
    assert (finding.flaw, list(finding.batches)) == (Flaw.FILES_MISSING, [2])
    assert list(batches_of([*lost, DataFile("merged-x.parquet", {}, 1, 1)], 3)) == [1, 2, 3]


@dataclass
class Late:
    """A ledger that answers with these states in turn, and with the last from then on."""

    states: list[LedgerState]

    def state(self) -> LedgerState:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def test_require_sound__batch_that_came_between_its_two_looks__is_no_flaw(tmp_path: Path) -> None:
    for table in (REJECTED, EVENTS):
        snapshot = Snapshot.open_or_create(tmp_path, table)
        snapshot.commit_batch(PlannedBatch(1, NOW, ()), "ours", [], BatchSummary(0, 0, {}, {}))
    before, after = LedgerState(None, 0, None), LedgerState(None, 1, None)
    assert require_sound(tmp_path, Late([before, after])) == after
    with pytest.raises(UnsoundLake, match="holds batch 1 that the registry does not know"):
        require_sound(tmp_path, Late([before]))


def test_named__many_batches__names_twenty_and_counts_the_others() -> None:
    assert named([7]) == "batch 7"
    assert named([7, 9]) == "batches 7, 9"
    assert named(range(1, 1_022)).startswith("batches 1, 2, 3, ")
    assert named(range(1, 1_022)).endswith(", 20 and 1,001 more")


@pytest.mark.parametrize(("damaged", "number"), [("the newest commit", 1), ("an old one, before a checkpoint", 0)])
def test_log_of_the_lake__damaged__is_told_in_one_line(tmp_path: Path, damaged: str, number: int) -> None:
    for batch in range(1, 2 if number else 21):
        table = Snapshot.open_or_create(tmp_path, EVENTS)
        table.commit_batch(PlannedBatch(batch, NOW, ()), "ours", [], BatchSummary(0, 0, {}, {}))
    (tmp_path / "events" / "_delta_log" / f"{number:020}.json").write_text("{")
    with pytest.raises(LakeError, match=r"^The Delta log of the lake's table events cannot be read: ") as told:
        list(Snapshot.open(tmp_path, EVENTS).batch_commits())
    assert "\n" not in str(told.value), damaged
