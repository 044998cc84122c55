"""Which run serves which claims (rules R2, R4, R7)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.dispatch import DispatchLimits, plan_runs
from experiment_pipeline.domain.refresh import Claim, ClaimSource, Computation

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def claim(
    number: int,
    experiment_id: int,
    source: ClaimSource = ClaimSource.SCHEDULE,
    *,
    run_key: str | None = None,
    served_by: str | None = None,
) -> Claim:
    return Claim(
        id=number,
        experiment_id=experiment_id,
        partition_key=f"experiment-{experiment_id}",
        computation=Computation.RESULTS,
        source=source,
        requested_at=NOW,
        run_key=run_key,
        served_by=served_by,
    )


def test_plan_runs__users_first_small_ones_together_large_ones_alone__r2_r7() -> None:
    waiting = [claim(9, 9, ClaimSource.API), claim(1, 1), claim(2, 2), claim(3, 3), claim(4, 1)]
    planned = plan_runs(waiting, large=[2], now=NOW)
    assert [(run.partition_keys, run.claim_ids, run.by_user) for run in planned] == [
        (("experiment-9",), (9,), True),
        (("experiment-1", "experiment-3"), (1, 4, 3), False),
        (("experiment-2",), (2,), False),
    ]


def test_plan_runs__where_users_share__they_still_come_first__r2() -> None:
    waiting = [claim(9, 9, ClaimSource.API), claim(8, 8, ClaimSource.CLI), claim(7, 7, ClaimSource.API), claim(1, 1)]
    planned = plan_runs(waiting, large=[8], now=NOW, limits=DispatchLimits(users_share=True))
    assert [(run.partition_keys, run.by_user) for run in planned] == [
        (("experiment-8",), True),
        (("experiment-9", "experiment-7"), True),
        (("experiment-1",), False),
    ]


def test_plan_runs__more_users_than_runs__share_those_that_there_is_room_for__r2() -> None:
    under_way = [claim(1, 1, ClaimSource.API, run_key="refresh:1", served_by="run")]
    waiting = [claim(number, number, ClaimSource.API) for number in range(2, 8)]
    limits = DispatchLimits(user_runs=3, experiments=4)

    def planned(*claims: Claim) -> list[int]:
        created = {each.run_key for each in claims if each.run_key}
        return [len(run.phases) for run in plan_runs(claims, large=(), now=NOW, limits=limits, created=created)]

    assert planned(*under_way, *waiting[:2]) == [1, 1]
    assert planned(*under_way, *waiting) == [4, 2]
    two_more = [replace(each, run_key=f"refresh:{each.id}") for each in waiting[:2]]
    assert planned(*under_way, *two_more, *waiting[2:]) == []


def test_plan_runs__experiment_that_is_being_served__waits_for_its_run_to_end() -> None:
    served = claim(1, 1, run_key="refresh:1", served_by="run")
    assert plan_runs([served, claim(2, 1, ClaimSource.API)], large=(), now=NOW) == []


def test_plan_runs__run_that_has_opened_some_of_its_experiments__counts_once() -> None:
    half_done = [claim(1, 1, run_key="refresh:1", served_by="run"), claim(2, 2, run_key="refresh:1"), claim(3, 3)]
    planned = plan_runs(half_done, large=(), now=NOW, limits=DispatchLimits(automatic_runs=2))
    assert [run.claim_ids for run in planned] == [(3,)]


def test_plan_runs__run_that_was_requested_and_has_not_begun__is_requested_again_under_its_key() -> None:
    lost = [claim(1, 1, run_key="refresh:1"), claim(2, 2, run_key="refresh:1")]
    (again,) = plan_runs([*lost, claim(3, 1)], large=(), now=NOW)
    assert (again.run_key, again.claim_ids) == ("refresh:1", (1, 2))


@given(
    waiting=st.lists(
        st.tuples(
            st.integers(1, 12),
            st.sampled_from(ClaimSource),
            st.sampled_from((None, None, None, "refresh:a", "refresh:b")),
            st.booleans(),
        ),
        max_size=20,
    ),
    large=st.sets(st.integers(1, 12)),
    limits=st.builds(
        DispatchLimits,
        runs=st.integers(0, 5),
        experiments=st.integers(1, 4),
        automatic_runs=st.integers(0, 4),
        users_share=st.booleans(),
    ),
)
def test_plan_runs__of_any_claims__serves_each_experiment_once_and_keeps_its_limits__r4_r7(
    waiting: list[tuple[int, ClaimSource, str | None, bool]], large: set[int], limits: DispatchLimits
) -> None:
    claims = [
        claim(number, experiment_id, source, run_key=run_key, served_by="run" if run_key and has_begun else None)
        for number, (experiment_id, source, run_key, has_begun) in enumerate(waiting, start=1)
    ]
    claims.sort(key=lambda each: not each.source.is_user)
    by_id = {each.id: each for each in claims}
    busy = {each.experiment_id for each in claims if each.run_key is not None}
    planned = plan_runs(claims, large, now=NOW, limits=limits)
    assert len(planned) <= limits.runs
    assert len({run.run_key for run in planned}) == len(planned)
    new = [run for run in planned if by_id[run.claim_ids[0]].run_key is None]
    partitions = [key for run in new for key in run.partition_keys]
    assert len(partitions) == len(set(partitions)), "two runs of one experiment would overlap"
    for run in new:
        experiments = {by_id[number].experiment_id for number in run.claim_ids}
        assert experiments.isdisjoint(busy)
        assert len(run.partition_keys) == len(experiments) <= limits.experiments
        if (run.by_user and not limits.users_share) or experiments & large:
            assert len(experiments) == 1
    under_way = {each.run_key for each in claims if each.run_key and not each.source.is_user}
    automatic = [run for run in new if not run.by_user]
    assert len(automatic) <= max(0, limits.automatic_runs - len(under_way))
