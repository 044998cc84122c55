"""Computations: what the API serves of an experiment, how it is published, and its history (rules R1, R3, R5, R6)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, exists, insert, or_, select, update

from experiment_pipeline.domain.due import is_final, knows_landed
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.refresh import Computation, ComputationState, ComputedTogether, Publication, RefreshRun
from experiment_pipeline.errors import NotFound, Superseded
from experiment_pipeline.registry import batches as ledger
from experiment_pipeline.registry import claims, experiment_rows, leases
from experiment_pipeline.registry.engine import Database, reading, writing
from experiment_pipeline.registry.experiments import Experiments, lock
from experiment_pipeline.registry.health import store_findings
from experiment_pipeline.registry.live_stats import store_live_stats
from experiment_pipeline.registry.notifications import write_notifications
from experiment_pipeline.registry.planned_looks import store_planned_looks
from experiment_pipeline.registry.results_sql import store_results_sql
from experiment_pipeline.registry.table_outbox import add_to_outbox
from experiment_pipeline.registry.tables import (
    batches,
    computations,
    experiments,
    is_computation,
    is_of_phase,
    landing_objects,
    payloads,
    runs,
)
from experiment_pipeline.results.occurrences import of_failures, of_publication
from experiment_pipeline.times import is_ahead


@dataclass(frozen=True, slots=True)
class Computations:
    """Store of what is published of each experiment, and of every payload that ever was."""

    database: Database

    def get(self, experiment_id: int, computation: Computation, phase: int | None = None) -> ComputationState:
        """Return the present state of one computation (rule R1) of a phase; None for the newest phase.

        Raises:
            NotFound: no experiment has this id, or it has no such phase.
        """
        statement = select(computations).where(is_computation(experiment_id, computation, phase))
        with reading(self.database) as connection:
            row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            raise NotFound(f"No experiment {experiment_id}{'' if phase is None else f' in phase {phase}'}.")
        return decode(row)

    def find(
        self, environment_key: str, id_or_key: int | str, computation: Computation, phase: int | None = None
    ) -> ComputationState:
        """Return the present state of one computation of one environment's experiment, by id or by key: one query.

        Args:
            environment_key: of the experiment.
            id_or_key: of the experiment.
            computation: that is asked for.
            phase: of the experiment; None for the newest one.

        Raises:
            NotFound: the environment has no such experiment, it is deleted, or it has no such phase.
        """
        statement = (
            select(computations)
            .join(experiments, experiments.c.id == computations.c.experiment_id)
            .where(
                experiment_rows.is_named(environment_key, id_or_key),
                computations.c.computation == computation.value,
                computations.c.phase == (experiments.c.phase if phase is None else phase),
            )
        )
        with reading(self.database) as connection:
            row = connection.execute(statement).mappings().one_or_none()
            if row is None:
                if phase is not None:  # says which phases there are, if there is the experiment
                    Experiments(connection).find(environment_key, id_or_key).in_phase(phase)
                raise NotFound(experiment_rows.unknown(environment_key, id_or_key))
        return decode(row)

    def get_together(self, experiment_id: int, phase: int | None = None) -> ComputedTogether:
        """Return both computations as of one moment and data version, the newest of which both were published.

        A run that was killed between its two publications leaves one computation newer than the other. Failures and
        requests are the present ones.

        Args:
            experiment_id: of the experiment.
            phase: of the experiment; None for the newest one.

        Raises:
            NotFound: no experiment has this id, or it has no such phase.
        """
        with reading(self.database) as connection:
            exposures, results = (Computations(connection).get(experiment_id, each, phase) for each in Computation)
            if exposures.agrees_with(results):
                return ComputedTogether(exposures, results)
            newer = max(exposures, results, key=lambda state: (state.computed_at, state.computation)).computation
            look = connection.execute(_newest_common_look(experiment_id, results.phase)).one_or_none()
        if look is None:
            if newer is Computation.EXPOSURES:
                return ComputedTogether(exposures, results.without_payload(), newer)
            return ComputedTogether(exposures.without_payload(), results, newer)
        return ComputedTogether(
            _as_published(exposures, look.as_of, look.data_version, look.exposures, look.exposures_at),
            _as_published(results, look.as_of, look.data_version, look.results, look.results_at),
            newer,
        )

    def newest_results(self, experiment_ids: Collection[int]) -> dict[int, Any]:
        """Return the results payloads that were published last of the newest phases, by experiment: one query."""
        statement = (
            select(computations.c.experiment_id, computations.c.payload)
            .join(experiments, experiments.c.id == computations.c.experiment_id)
            .where(
                computations.c.experiment_id.in_(experiment_ids),
                computations.c.phase == experiments.c.phase,
                computations.c.computation == Computation.RESULTS.value,
            )
        )
        with reading(self.database) as connection:
            rows = connection.execute(statement).all()
        return {row.experiment_id: row.payload for row in rows if row.payload is not None}

    def publish(self, publication: Publication) -> ComputationState:
        """Replace the published payload, add it to the history and close the claims it answers (rule R5).

        Raises:
            NotFound: the experiment is deleted. Nothing has changed then, nor after the other errors.
            Superseded: the run has lost the lease, or a newer payload is published.
            Final: the computation is final (rule R6).
        """
        run, computation = publication.run, publication.computation
        with writing(self.database) as connection:
            experiment = lock(connection, run.experiment_id).in_phase(run.phase)
            leases.require(connection, run)
            before = Computations(connection).get(run.experiment_id, computation, run.phase)
            if before.is_final:
                raise claims.final(computation)
            _refuse_to_go_back(before, run, experiment.ended_at, publication.computed_at)
            now_final = _becomes_final(connection, experiment, publication)
            _replace(connection, publication, now_final=now_final)
            add_to_outbox(connection, _add_to_history(connection, publication))
            store_planned_looks(connection, run, publication.planned_looks)
            if publication.findings is not None:
                store_findings(connection, run, publication.findings)
            if publication.live_stats is not None:
                store_live_stats(connection, run, publication.live_stats)
            if computation is Computation.RESULTS:
                store_results_sql(connection, run, publication.sql)
            claims.close_published(connection, publication, is_final=now_final)
            told = of_publication(experiment, before.payload, publication, now_final=now_final)
            write_notifications(connection, experiment.id, run.phase, told, now=publication.computed_at)
            return Computations(connection).get(run.experiment_id, computation, run.phase)

    def runs_with_look(self, run_ids: Collection[str]) -> set[str]:
        """Return those of the runs that published a look."""
        with reading(self.database) as connection:
            return set(connection.scalars(select(payloads.c.run_id).where(payloads.c.run_id.in_(run_ids)).distinct()))

    def record_failure(
        self, experiment_id: int, computation: Computation, now: datetime, run_id: str, phase: int = 1
    ) -> None:
        """Stamp a run's failure and close the claims it took on; what is published stays (rule R3).

        A final row never changes. A failure of the same moment counts once: one that was not answered may be recorded
        again. A run that has lost its lease to another fails for itself alone.
        """
        is_news = or_(computations.c.last_error_at.is_(None), computations.c.last_error_at != now)
        stamp = (
            update(computations)
            .where(is_computation(experiment_id, computation, phase), computations.c.is_final.is_(False), is_news)
            .values(last_error_at=now, failures=computations.c.failures + 1)
        )
        with writing(self.database) as connection:
            if leases.owner(connection, experiment_id) not in {None, run_id}:
                return
            if connection.execute(stamp).rowcount:
                claims.close_failed(connection, experiment_id, computation, run_id, phase=phase, now=now)
                states = [Computations(connection).get(experiment_id, each, phase) for each in Computation]
                write_notifications(connection, experiment_id, phase, of_failures(states), now=now)


def _newest_common_look(experiment_id: int, phase: int) -> Select[Any]:
    """Return the query of the newest as-of and data version of which both computations were published."""
    exposures, results = payloads.alias("exposures"), payloads.alias("results")
    return (
        select(
            results.c.as_of,
            results.c.data_version,
            exposures.c.payload.label("exposures"),
            exposures.c.computed_at.label("exposures_at"),
            results.c.payload.label("results"),
            results.c.computed_at.label("results_at"),
        )
        .where(
            exposures.c.experiment_id == experiment_id,
            exposures.c.phase == phase,
            exposures.c.computation == Computation.EXPOSURES.value,
            results.c.experiment_id == experiment_id,
            results.c.phase == phase,
            results.c.computation == Computation.RESULTS.value,
            results.c.as_of == exposures.c.as_of,
            results.c.data_version == exposures.c.data_version,
        )
        .order_by(results.c.id.desc(), exposures.c.id.desc())
        .limit(1)
    )


def _as_published(
    now: ComputationState, as_of: datetime, data_version: int, payload: Mapping[str, object], computed_at: datetime
) -> ComputationState:
    """Return a computation with an earlier look in the place of the present one; only the present one can be final."""
    is_present = (now.as_of, now.data_version) == (as_of, data_version)
    return replace(
        now,
        as_of=as_of,
        data_version=data_version,
        computed_at=computed_at,
        payload=payload,
        is_final=now.is_final and is_present,
    )


def decode(row: RowMapping) -> ComputationState:
    """Return the state in a row of the table `computations`."""
    return ComputationState(
        computation=Computation(row["computation"]),
        as_of=row["as_of"],
        data_version=row["data_version"],
        computed_at=row["computed_at"],
        payload=row["payload"],
        is_final=row["is_final"],
        last_error_at=row["last_error_at"],
        failures=row["failures"],
        refresh_requested_at=row["refresh_requested_at"],
        last_duration_seconds=row["last_duration_seconds"],
        phase=row["phase"],
    )


def _becomes_final(connection: Connection, experiment: Experiment, publication: Publication) -> bool:
    """Return whether the publication is the computation's last (rule R6)."""
    run = publication.run
    final_from = None if experiment.ended_at is None else experiment.ended_at + publication.grace
    return is_final(
        ended_at=experiment.ended_at,
        as_of=run.as_of,
        computed_at=publication.computed_at,
        final_from=final_from,
        covers_landed=final_from is not None and _covers_landed(connection, experiment, publication, final_from),
    )


def _replace(connection: Connection, publication: Publication, *, now_final: bool) -> None:
    run, duration = publication.run, publication.duration
    connection.execute(
        update(computations)
        .where(is_computation(run.experiment_id, publication.computation, run.phase))
        .values(
            as_of=run.as_of,
            data_version=run.data_version,
            computed_at=publication.computed_at,
            payload=publication.payload,
            is_final=now_final,
            last_error_at=None,
            failures=0,
            last_duration_seconds=None if duration is None else duration.total_seconds(),
        )
    )


def _add_to_history(connection: Connection, publication: Publication) -> int:
    """Add a payload to those that were ever published, and return its id."""
    run, findings = publication.run, publication.findings
    added = insert(payloads).values(
        experiment_id=run.experiment_id,
        phase=run.phase,
        computation=publication.computation.value,
        as_of=run.as_of,
        data_version=run.data_version,
        computed_at=publication.computed_at,
        code_version=publication.code_version,
        run_id=run.run_id,
        payload=publication.payload,
        findings=None if findings is None else [dict(each) for each in findings if each.get("severity") != "ok"],
    )
    new_id: int = connection.execute(added.returning(payloads.c.id)).scalar_one()
    return new_id


def _refuse_to_go_back(before: ComputationState, run: RefreshRun, ended_at: datetime | None, now: datetime) -> None:
    """Raise Superseded for a run that would overwrite a newer payload (rule R5).

    A payload as of a moment that lies ahead was published by a clock that is right again, and one as of a moment after
    the experiment's end before somebody stated that end: these are replaced.
    """
    is_after_the_end = ended_at is not None and before.as_of is not None and run.as_of <= ended_at < before.as_of
    stays = before.as_of is not None and not is_after_the_end and not is_ahead(before.as_of, now)
    if before.as_of is not None and stays and run.as_of < before.as_of:
        raise Superseded(
            f"Run {run.run_id} looks at {run.as_of}; the published payload is already as of {before.as_of}."
        )
    if before.data_version is not None and run.data_version < before.data_version:
        raise Superseded(
            f"Run {run.run_id} reads data version {run.data_version}; "
            f"the published payload has read {before.data_version} already."
        )


def _covers_landed(connection: Connection, experiment: Experiment, publication: Publication, before: datetime) -> bool:
    """Return whether every object of the environment that landed before the moment is in the data version (rule R6).

    Only a landing zone that was listed since then can be known to hold nothing else. A warehouse is known to hold all
    that was loaded before a run began, but for what had not settled then (rule N4).
    """
    run = publication.run
    if publication.settle is not None:
        mine = is_of_phase(runs, run.experiment_id, run.phase) & (runs.c.run_id == run.run_id)
        opened_at = connection.scalar(select(runs.c.opened_at).where(mine))
        return opened_at is not None and opened_at - publication.settle >= before
    scanned_at = ledger.Batches(connection).scanned_at()
    if not knows_landed(scanned_at, before, publication.computed_at):
        return False
    missing = exists().where(
        landing_objects.c.environment_key == experiment.environment_key,
        landing_objects.c.landed_at < before,
        landing_objects.c.batch == batches.c.number,
        or_(batches.c.number > publication.run.data_version, batches.c.committed_at.is_(None)),
    )
    return not connection.scalar(select(missing))
