"""Experiments in the registry: reading them, declaring them, and their life (rules L1-L6)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from experiment_pipeline.domain import lifecycle
from experiment_pipeline.domain.audience_forms import audience_json, audience_of
from experiment_pipeline.domain.drafts import (
    ExperimentDraft,
    VariantDraft,
    changed_fields,
    check_experiment,
    key_from_name,
    to_draft,
    to_variant_draft,
)
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.domain.refresh import Computation
from experiment_pipeline.errors import Conflict, NotFound
from experiment_pipeline.registry import audit, claims, environments, experiment_keys, experiment_parts, leases, looks
from experiment_pipeline.registry.columns import is_id
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.experiment_rows import ALIVE, is_named, matching, select_experiments, unknown
from experiment_pipeline.registry.tables import computations, experiments, is_of_phase
from experiment_pipeline.times import to_milliseconds

_audit = partial(audit.record_change, "experiment")


@dataclass(frozen=True, slots=True)
class Experiments:
    """Store of the experiments, each with its variants and attached metrics."""

    database: Database

    def get(self, experiment_id: int) -> Experiment:
        """Return one experiment.

        Raises:
            NotFound: no experiment has this id, or it is deleted.
        """
        with reading(self.database) as connection:
            found = select_experiments(connection, is_id(experiments.c.id, experiment_id))
        return _only(found, f"No experiment {experiment_id}.")

    def find_key(self, experiment_id: int) -> str | None:
        """Return the key of an experiment; None of one that is deleted, or never was."""
        statement = select(experiments.c.key).where(is_id(experiments.c.id, experiment_id), ALIVE)
        with reading(self.database) as connection:
            return connection.scalar(statement)

    def get_by_partition(self, partition_key: str) -> Experiment:
        """Return one experiment by its partition key (rule L6).

        Raises:
            NotFound: no experiment has this partition key, or it is deleted.
        """
        with reading(self.database) as connection:
            found = select_experiments(connection, experiments.c.partition_key == partition_key)
        return _only(found, f"No experiment has the partition key '{partition_key}'.")

    def find(self, environment_key: str, id_or_key: int | str) -> Experiment:
        """Return one experiment of one environment, by id or by key; a key never begins with a digit.

        Raises:
            NotFound: the environment has no such experiment, or it is deleted.
        """
        with reading(self.database) as connection:
            found = select_experiments(connection, is_named(environment_key, id_or_key))
        return _only(found, unknown(environment_key, id_or_key))

    def list(
        self,
        environment_key: str | None = None,
        *,
        statuses: Collection[ExperimentStatus] = (),
        search: str = "",
        limit: int | None = None,
        offset: int = 0,
    ) -> Sequence[Experiment]:
        """Return the experiments of one environment or of all, newest first.

        Args:
            environment_key: of the experiments; None for every environment.
            statuses: those wanted; none for every status.
            search: a part of the name or of the feature, in whatever case.
            limit: at most so many; None for all.
            offset: leave out so many of the newest.
        """
        condition = matching(environment_key, statuses, search)
        with reading(self.database) as connection:
            return select_experiments(connection, condition, limit=limit, offset=offset)

    def partition_keys(self) -> set[str]:
        """Return the partition key of every experiment that is not deleted."""
        with reading(self.database) as connection:
            return set(connection.scalars(select(experiments.c.partition_key).where(ALIVE)))

    def status_counts(self, environment_key: str | None = None, *, search: str = "") -> dict[ExperimentStatus, int]:
        """Return how many experiments `list` would return without a limit, by status; every status has a count."""
        statement = (
            select(experiments.c.status, func.count().label("number"))
            .where(ALIVE, matching(environment_key, (), search))
            .group_by(experiments.c.status)
        )
        with reading(self.database) as connection:
            counted: dict[str, int] = {row.status: row.number for row in connection.execute(statement)}
        return {status: counted.get(status.value, 0) for status in ExperimentStatus}

    def create(
        self, environment_key: str, draft: ExperimentDraft, *, actor: str, now: datetime, may_reuse_key: bool = False
    ) -> Experiment:
        """Declare an experiment (rules L2, L3, L6), with its computations (rule R1).

        Args:
            environment_key: of the experiment.
            draft: the experiment; without a key it gets one that was never used.
            actor: for the audit log.
            now: for the audit log.
            may_reuse_key: take the key of a deleted experiment of which no look counted an identity.

        Raises:
            ConfigurationError: the draft breaks a rule; names the fields.
            NotFound: no environment has this key.
            Conflict: another experiment has the key, or is active for the feature.
        """
        arms = check_experiment(draft)
        with writing(self.database) as connection:
            environments.require(connection, environment_key)
            key = draft.key or key_from_name(
                draft.name, lambda key: experiment_keys.key_is_taken(connection, environment_key, key)
            )
            attached = experiment_parts.resolve_metrics(connection, environment_key, draft.metrics)
            if may_reuse_key:
                experiment_keys.release_key(connection, environment_key, key)
            new_id = _insert(connection, environment_key, key, draft, now)
            experiment_parts.replace_variants(connection, new_id, arms)
            experiment_parts.replace_metrics(connection, new_id, attached)
            created = Experiments(connection).get(new_id)
            _audit(connection, "create", None, created, actor=actor, now=now)
        return created

    def change(
        self,
        experiment_id: int,
        revise: Callable[[ExperimentDraft], ExperimentDraft],
        *,
        actor: str,
        now: datetime,
    ) -> Experiment:
        """Change an experiment as far as rule L3 lets.

        Args:
            experiment_id: of the experiment.
            revise: turns the experiment's present draft into the wanted one.
            actor: for the audit log.
            now: for the audit log.

        Raises:
            ConfigurationError: the wanted draft breaks a rule, or changes what is frozen; names the fields.
            NotFound: no experiment has this id, or it is deleted.
        """
        with writing(self.database) as connection:
            before = lock(connection, experiment_id)
            present = to_draft(before)
            wanted = revise(present)
            arms = check_experiment(wanted, present)
            attached = experiment_parts.resolve_metrics(connection, before.environment_key, wanted.metrics)
            after = replace(
                wanted,
                key=wanted.key or before.key,
                variants=tuple(to_variant_draft(arm) for arm in arms),
                metrics=attached,
            )
            if not changed_fields(present, after):
                return before
            lifecycle.check_revision(before, present, after)
            _update(connection, experiment_id, {**_columns(after), "updated_at": now})
            if arms != before.variants:
                experiment_parts.replace_variants(connection, experiment_id, arms)
            if attached != present.metrics and before.started_at is None:
                experiment_parts.replace_metrics(connection, experiment_id, attached)
            elif attached != present.metrics:  # only more of them, or the change is refused
                had = len(present.metrics)
                experiment_parts.add_metrics(
                    connection, experiment_id, attached[had:], after=had, in_phase=before.phase
                )
            changed = Experiments(connection).get(experiment_id)
            _audit(connection, "change", before, changed, actor=actor, now=now)
        return changed

    def transition(
        self,
        experiment_id: int,
        to: ExperimentStatus,
        *,
        actor: str,
        now: datetime,
        at: datetime | None = None,
    ) -> Experiment:
        """Start, pause, resume or complete an experiment (rule L1); completing claims a last refresh (rule R6).

        Args:
            experiment_id: of the experiment.
            to: the new status.
            actor: for the audit log.
            now: for the audit log.
            at: the date of the start or of the end, UTC; None for `now`.

        Raises:
            InvalidTransition: rule L1 does not let this status follow the present one.
            NotFound: no experiment has this id, or it is deleted.
        """
        with writing(self.database) as connection:
            before = lock(connection, experiment_id)
            after = lifecycle.transition(before, to, at or now, now=now)
            dates = {"started_at": after.started_at, "ended_at": after.ended_at}
            _update(connection, experiment_id, {**dates, "status": after.status.value, "updated_at": now})
            if after.ended_phases != before.ended_phases:
                experiment_parts.store_ended_phase(connection, experiment_id, after.ended_phases[-1])
            if after.status is ExperimentStatus.COMPLETED:
                if at is not None:  # a run may look at a window that goes beyond the stated end
                    leases.end(connection, experiment_id)
                claims.claim_last_refresh(connection, experiment_id, after.phase, now)
            changed = Experiments(connection).get(experiment_id)
            _audit(connection, after.status.value, before, changed, actor=actor, now=now)
        return changed

    def restart(
        self,
        experiment_id: int,
        variants: tuple[VariantDraft, ...] | None = None,
        *,
        actor: str,
        now: datetime,
        ends: int | None = None,
    ) -> Experiment:
        """End the present phase of an experiment, begin the next, and claim the last refresh of the ended (X9, R6).

        Args:
            experiment_id: of the experiment, running or paused.
            variants: with the allocations of the next phase; None for the present ones.
            actor: for the audit log.
            now: the end of the present phase, and the start of the next.
            ends: the phase that is to end; None for the present one.

        Raises:
            NotAllowed: the experiment is neither running nor paused, or its phase has no length yet.
            ConfigurationError: the variants differ in more than their allocations, or these break rule L3.
            Conflict: another phase is the present one: somebody else has restarted it.
            NotFound: no experiment has this id, or it is deleted.
        """
        with writing(self.database) as connection:
            before = lock(connection, experiment_id)
            if ends not in (None, before.phase):
                raise Conflict(f"Phase {ends} is not the present phase: '{before.key}' is in phase {before.phase}.")
            after = lifecycle.restart(before, variants, now)
            experiment_parts.store_ended_phase(connection, experiment_id, after.ended_phases[-1])
            window = {"started_at": after.started_at, "ended_at": None, "phase": after.phase}
            _update(connection, experiment_id, {**window, "status": after.status.value, "updated_at": now})
            experiment_parts.replace_variants(connection, experiment_id, after.variants)
            _insert_computations(connection, experiment_id, after.phase)
            claims.claim_last_refresh(connection, experiment_id, before.phase, now)
            changed = Experiments(connection).get(experiment_id)
            _audit(connection, "restart", before, changed, actor=actor, now=now)
        return changed

    def move_start(self, experiment_id: int, to: datetime, *, actor: str, now: datetime) -> Experiment:
        """Move the start of an experiment of which no look counted an identity (rule L1), and claim a refresh.

        A run that computes it from the old start on loses its lease, and publishes nothing.

        Raises:
            ConfigurationError: results depend on the start, or the wanted one is in the future or after the end.
            NotFound: no experiment has this id, or it is deleted.
        """
        with writing(self.database) as connection:
            before = lock(connection, experiment_id)
            moment = to_milliseconds(to)
            lifecycle.check_start_may_move(
                before,
                moment,
                now,
                has_counted=looks.have_counted(connection, experiment_id),
                is_final=_is_final(connection, before),
            )
            _update(connection, experiment_id, {"started_at": moment, "updated_at": now})
            leases.end(connection, experiment_id)
            claims.claim_automatically(connection, experiment_id, before.phase, now)
            changed = Experiments(connection).get(experiment_id)
            _audit(connection, "move_start", before, changed, actor=actor, now=now)
        return changed

    def delete(self, experiment_id: int, *, actor: str, now: datetime) -> None:
        """Delete an experiment softly: its row stays, and its key is never used again (rule L4).

        Its waiting claims are closed as refused.

        Raises:
            NotAllowed: it is running.
            NotFound: no experiment has this id, or it is deleted already.
        """
        with writing(self.database) as connection:
            before = lock(connection, experiment_id)
            lifecycle.check_deletable(before)
            _update(connection, experiment_id, {"deleted_at": now, "updated_at": now})
            claims.close_all(connection, experiment_id, now)
            _audit(connection, "delete", before, None, actor=actor, now=now)


def lock(connection: Connection, experiment_id: int) -> Experiment:
    """Lock one experiment until the transaction ends, and return it: changes that depend on its status take turns.

    The lock is PostgreSQL's weaker one (`FOR NO KEY UPDATE`), so that a claim which refers to the row need not wait.

    Raises:
        NotFound: no experiment has this id, or it is deleted.
    """
    row = select(experiments.c.id).where(is_id(experiments.c.id, experiment_id))
    connection.execute(row.with_for_update(key_share=True)).all()
    return Experiments(connection).get(experiment_id)


def _insert(connection: Connection, environment_key: str, key: str, draft: ExperimentDraft, now: datetime) -> int:
    values = {
        **_columns(draft),
        "environment_key": environment_key,
        "key": key,
        "partition_key": f"{key}-{uuid4()}"[:120],  # until the id is known
        "feature": draft.feature,
        "status": ExperimentStatus.CREATED.value,
        "created_at": now,
        "updated_at": now,
    }
    inserting = insert(experiments).values(values).returning(experiments.c.id)
    try:
        with connection.begin_nested():
            new_id: int = connection.execute(inserting).scalar_one()
    except IntegrityError:
        raise experiment_keys.conflict(connection, environment_key, key, draft.feature) from None
    _update(connection, new_id, {"partition_key": f"{key}-{new_id}"})  # rule L6
    _insert_computations(connection, new_id, 1)
    return new_id


def _insert_computations(connection: Connection, experiment_id: int, phase: int) -> None:
    """Add the rows of a phase's computations (rule R1)."""
    rows = [{"experiment_id": experiment_id, "phase": phase, "computation": each.value} for each in Computation]
    connection.execute(insert(computations), rows)


def _update(connection: Connection, experiment_id: int, values: dict[str, Any]) -> None:
    connection.execute(update(experiments).where(experiments.c.id == experiment_id).values(values))


def _only(found: list[Experiment], otherwise: str) -> Experiment:
    if not found:
        raise NotFound(otherwise)
    return found[0]


def _columns(draft: ExperimentDraft) -> dict[str, Any]:
    return {
        "name": draft.name,
        "hypothesis": draft.hypothesis,
        "multiple_exposures": draft.multiple_exposures.value,
        "refresh_interval_seconds": int(draft.refresh_interval.total_seconds()),
        "design": asdict(draft.design),
        "ignored_variants": list(draft.ignored_variants),
        "audience": audience_json(audience_of(draft)),
        "post_stratify": draft.post_stratify,
        "prior": None if draft.prior is None else asdict(draft.prior),
    }


def _is_final(connection: Connection, experiment: Experiment) -> bool:
    """Return whether a computation of the experiment's phase is final (rule R6)."""
    finals = select(computations.c.is_final).where(is_of_phase(computations, experiment.id, experiment.phase))
    return any(connection.scalars(finals))
