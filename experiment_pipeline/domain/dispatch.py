"""Dispatch: which run serves which claims (rules R2, R7; docs/adr/0024, docs/adr/0028, docs/adr/0030)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from experiment_pipeline.domain.refresh import Claim


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run to request for waiting claims, of one experiment or of several small ones.

    Attributes:
        run_key: begins with the first claim's id; Dagster starts one run per key, however often it is requested.
        phases: the phase of each experiment that is computed, by partition key; one of each (rule X9).
        by_user: whether a user asked for any of it.
        ended: whether a restart has ended any of these phases.
    """

    run_key: str
    phases: Mapping[str, int]
    claim_ids: tuple[int, ...]
    by_user: bool
    ended: bool = False

    @property
    def partition_keys(self) -> tuple[str, ...]:
        """The experiments, by their partition keys."""
        return tuple(self.phases)


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """The most that is requested at once.

    Attributes:
        runs: requested per tick.
        experiments: small ones that share a run.
        automatic_runs: runs of automatic claims that are requested and have not ended.
        user_runs: the same of users' claims. Where more experiments wait, these share the runs that there is room for.
        users_share: whether users' experiments share runs too. Not with sensors: they tick every few seconds.
    """

    runs: int = 10
    experiments: int = 25
    automatic_runs: int = 4
    user_runs: int = 4
    users_share: bool = False


def plan_runs(
    waiting: Sequence[Claim],
    large: Collection[int],
    *,
    now: datetime,
    limits: DispatchLimits | None = None,
    created: Collection[str] = (),
) -> list[PlannedRun]:
    """Return the runs to request for the claims that wait, users' first (rule R2).

    A user's experiment has a run of its own by default while there is room for it, automatic ones share. Claims of an
    experiment that is being served wait for its run to end, and so do those of its other phases: one phase at a time is
    computed (rule X9). Runs that were requested and never created are requested again under their old key: the process
    that requested them may have died before Dagster stored the request.

    Args:
        waiting: every claim without an outcome, users' first.
        large: ids of experiments whose runs take long; each has a run of its own, so that it delays no other (rule R7).
        now: the present moment, part of new run keys.
        limits: the most to request; by default those of a sensor.
        created: run keys that Dagster has a run for already, which are not requested again.
    """
    limits = limits or DispatchLimits()
    busy = {claim.experiment_id for claim in waiting if claim.served_by is not None or claim.run_key is not None}
    begun = {claim.run_key for claim in waiting if claim.served_by is not None}
    again = [
        _planned(key, [claim for claim in waiting if claim.run_key == key])
        for key in dict.fromkeys(claim.run_key for claim in waiting)
        if key is not None and key not in begun and key not in created
    ]
    fresh: dict[int, list[Claim]] = {}
    for claim in waiting:
        if claim.experiment_id not in busy:
            claims = fresh.setdefault(claim.experiment_id, [])
            if not claims or claims[0].phase == claim.phase:
                claims.append(claim)
    by_user = [claims for claims in fresh.values() if any(claim.source.is_user for claim in claims)]
    automatic = [claims for claims in fresh.values() if not any(claim.source.is_user for claim in claims)]
    room_of_users = limits.user_runs - _under_way(waiting, by_user=True)
    groups = _shared(by_user, large, limits.experiments if limits.users_share else 1)
    if len(groups) > room_of_users:
        groups = _shared(by_user, large, limits.experiments)[: max(0, room_of_users)]
    room = limits.automatic_runs - _under_way(waiting, by_user=False)
    groups += _shared(automatic, large, limits.experiments)[: max(0, room)]
    new = [_planned(f"refresh:{group[0].id}:{now:%Y%m%dT%H%M%S%f}", group) for group in groups]
    return [*again, *new][: limits.runs]


def _under_way(waiting: Sequence[Claim], *, by_user: bool) -> int:
    """Return how many runs of users' or of automatic claims are requested and have not ended.

    They are counted by key: a run that serves several experiments has acquired some of them and not yet the others.
    """
    return len({claim.run_key or claim.served_by for claim in waiting if claim.source.is_user is by_user} - {None})


def _shared(waiting: list[list[Claim]], large: Collection[int], size: int) -> list[list[Claim]]:
    """Return the claims of each run: every large experiment its own, small ones together, the oldest claims first."""
    small = [claims for claims in waiting if claims[0].experiment_id not in large]
    alone = [claims for claims in waiting if claims[0].experiment_id in large]
    together = [
        [claim for claims in small[start : start + size] for claim in claims] for start in range(0, len(small), size)
    ]
    return sorted([*together, *alone], key=lambda claims: claims[0].id)


def _planned(run_key: str, claims: Sequence[Claim]) -> PlannedRun:
    return PlannedRun(
        run_key=run_key,
        phases={claim.partition_key: claim.phase for claim in claims},
        claim_ids=tuple(claim.id for claim in claims),
        by_user=any(claim.source.is_user for claim in claims),
        ended=any(claim.is_of_ended_phase for claim in claims),
    )
