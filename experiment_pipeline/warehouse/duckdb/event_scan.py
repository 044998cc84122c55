"""Scans of events: DuckDB reads them in a thread of its own, and they are tallied meanwhile."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import filterfalse
from typing import Any, TypeAlias

import duckdb
import numpy as np
from arro3.core import RecordBatch
from numpy.typing import NDArray

from experiment_pipeline.domain.aggregates import Group, Part
from experiment_pipeline.domain.experiments import MultipleExposures
from experiment_pipeline.warehouse.duckdb.arrow_columns import Batches, ahead, batches, columns, pieces
from experiment_pipeline.warehouse.duckdb.entering_events import Known
from experiment_pipeline.warehouse.duckdb.event_numbers import EventNumbers
from experiment_pipeline.warehouse.duckdb.field_types import CODES
from experiment_pipeline.warehouse.duckdb.first_exposures import DimensionGroups
from experiment_pipeline.warehouse.duckdb.funnels import StepEvents
from experiment_pipeline.warehouse.duckdb.metric_values import Kept
from experiment_pipeline.warehouse.duckdb.population import Integers, Population
from experiment_pipeline.warehouse.duckdb.readings import KeptNumbers, KeptSteps, Reading, Request, Tallied
from experiment_pipeline.warehouse.duckdb.shared_scan import SharedReader, SharedRows
from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.tally import Piece, Tally
from experiment_pipeline.warehouse.duckdb.visible_events import over_visible

ArmKey: TypeAlias = tuple[Group | None, int]  # None for the metric as a whole; the number of the arm

Members: TypeAlias = dict[ArmKey, Integers]
Types: TypeAlias = dict[tuple[str, str], Integers]

ANALYSED_IDENTITIES = "analysed_identities"


@dataclass(frozen=True, slots=True)
class ScannedRange:
    """One range of identities, and what their events were kept as.

    Attributes:
        population: the identities.
        kept: what was kept of their events, for every request.
        members: the identities of every group and arm: `None` for everybody.
        types: by event and property, how many events have a value of each code (`field_types`).
        events: how many were read.
    """

    population: Population
    kept: dict[Request, Kept]
    members: Members
    types: Types
    events: int = 0


@dataclass(frozen=True, slots=True)
class EventScan:
    """One scan of the events of identities whose hashes lie in a range.

    Attributes:
        exposures: parameters of the statement that reads the identities.
        events: parameters of the statement that reads their events, for a reading.
        variants: their keys; the position of a key is the number of its arm.
        dimensions: that identities are grouped by.
        policy: of the analysis for identities that saw several variants, where those who would be analysed with the
            other policy are wanted, too (rule X3); None where they are not.
        shared: the events that several analyses share; None where all are read for this one.
    """

    connection: duckdb.DuckDBPyConnection
    exposures: dict[str, Any]
    events: Callable[[Reading], dict[str, Any]]
    variants: list[str]
    dimensions: Sequence[DimensionGroups] = ()
    policy: MultipleExposures | None = None
    shared: SharedReader | None = None

    def scanned(self, wanted: Sequence[Reading]) -> ScannedRange:
        """Return the identities, and what was kept of their events for every request."""
        with closing(self._answers(wanted)) as answers, closing(ahead(answers)) as read:
            population, members = self._identified(until_end(read))
            return self._kept_of(population, members, wanted, read)

    def events_of(self, population: Population, members: Members, wanted: Sequence[Reading]) -> ScannedRange:
        """Return what was kept of the events of identities that are read already."""
        with closing(self._answers(wanted, identities=False)) as answers, closing(ahead(answers)) as read:
            return self._kept_of(population, members, wanted, read)

    def find_shared(self, reading: Reading, known: Known | None = None) -> SharedRows | None:
        """Return the shared rows of a reading, or those that entered since an earlier refresh; None where none are."""
        return None if self.shared is None else self.shared.find(reading, known)

    def _kept_of(
        self, population: Population, members: Members, wanted: Sequence[Reading], read: Iterator[RecordBatch | None]
    ) -> ScannedRange:
        found: dict[Request, Kept] = {}
        types: Types = {}
        events = 0
        for reading in wanted:
            kept = empty_kept(population, reading)
            types |= empty_types(reading)
            if (shared := self.find_shared(reading)) is not None:
                events += shared.keep(population, kept, types=types)
            else:
                events += keep_events(population, reading, kept, until_end(read), types=types)
            found |= kept
        return ScannedRange(population, found, members, types, events)

    def identified(self) -> tuple[Population, Members]:
        """Return the identities, and the members of every group and arm."""
        with self.connection.cursor() as cursor:
            return self._identified(batches(self._identities(cursor)))

    def _identified(self, read: Batches) -> tuple[Population, Members]:
        width = 4 + (self.policy is not None) + len(self.dimensions)
        identity_hash, starts_at, exposed_at, arm, *codes = columns(read, width)
        population = Population(identity_hash, starts_at, arm, len(self.variants), exposed_at)
        return population, self._members(population, codes)

    def _members(self, population: Population, codes: Sequence[Integers]) -> Members:
        if self.policy is None:
            return _by_arm(None, population.members) | self._of_dimensions(population, codes)
        quarantined, *codes = codes
        everybody, (of_one_variant, _) = population.members, population.members_of(quarantined, 2)
        other = Group(Part.SENSITIVITY, self.policy.other.value)
        if self.policy is MultipleExposures.FIRST:
            members = _by_arm(None, everybody) | _by_arm(other, of_one_variant)
            return members | self._of_dimensions(population, codes)
        members = _by_arm(None, of_one_variant) | _by_arm(other, everybody)
        return members | self._of_dimensions(population, codes, quarantined)

    def _of_dimensions(
        self, population: Population, codes: Sequence[Integers], left_out: Integers | None = None
    ) -> dict[ArmKey, Integers]:
        """Return the identities of every value of a dimension, without those of whom 1 says that they are left out."""
        members: dict[ArmKey, Integers] = {}
        for dimension, of_dimension in zip(self.dimensions, codes, strict=True):
            groups = len(dimension.values) + 1
            chosen = of_dimension if left_out is None else np.where(left_out == 1, groups, of_dimension)
            for code, by_arm in enumerate(population.members_of(chosen, groups + 1)[:groups]):
                if any(map(len, by_arm)):
                    members |= _by_arm(dimension.group(code), by_arm)
        return members

    def _answers(
        self, wanted: Sequence[Reading], *, identities: bool = True
    ) -> Generator[RecordBatch | None, None, None]:
        """Yield the identities, and then the events of each reading that is not shared; None ends each of them."""
        with self.connection.cursor() as cursor:
            if identities:
                yield from batches(self._identities(cursor))
                yield None
            for reading in filterfalse(self.find_shared, wanted):
                sql, parameters = over_visible(*self.statement(reading))
                yield from batches(cursor.sql(sql, params=parameters))
                yield None

    def statement(self, reading: Reading) -> tuple[str, dict[str, Any]]:
        """Return the SQL that reads the events of a reading, all of them, with its parameters."""
        sql, conditions = reading.statement()
        return sql, {**self.events(reading), **conditions}

    def _identities(self, cursor: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
        return cursor.sql(identities_statement(self.dimensions, self.policy), params=self._identity_parameters())

    def _identity_parameters(self) -> dict[str, Any]:
        values = {_values_of(at): list(dimension.values) for at, dimension in enumerate(self.dimensions)}
        found = {**self.exposures, "variants": self.variants, **values}
        return found if self.policy is None else {**found, "exclude_quarantined": False}


def identities_statement(dimensions: Sequence[DimensionGroups] = (), policy: MultipleExposures | None = None) -> str:
    """Return the SQL that reads the identities, with the number of their group in each dimension.

    Where a policy is given, the first of these columns tells those that saw several variants.
    """
    seen_several = [] if policy is None else ["quarantined::bigint as quarantined"]
    codes = [f"{each.code(_values_of(at))}::bigint as group_{at}" for at, each in enumerate(dimensions)]
    columns = ", ".join(["identity_hash", "starts_at_us", "first_exposed_at_us", "arm", *seen_several, *codes])
    return f"select {columns}\nfrom (\n{statement(ANALYSED_IDENTITIES)})\n"


def _by_arm(group: Group | None, members: Sequence[Integers]) -> dict[ArmKey, Integers]:
    return {(group, arm): numbers for arm, numbers in enumerate(members)}


def _values_of(position: int) -> str:
    return f"values_of_{position}"


def empty_kept(population: Population, reading: Reading) -> dict[Request, Kept]:
    """Return what keeps the events of a reading, for each of its requests, before there are any."""
    return {request: _empty(population, reading, request) for request in reading.requests}


def empty_types(reading: Reading) -> Types:
    """Return the counts of types of the properties that a reading chooses by, before there are events."""
    return {(reading.name, field): np.zeros(CODES, np.int64) for field in reading.types}


def keep_events(
    population: Population,
    reading: Reading,
    kept: Mapping[Request, Kept],
    read: Batches,
    *,
    types: Types | None = None,
    seen: NDArray[np.bool_] | None = None,
) -> int:
    """Keep what is wanted of events; return how many there were.

    Args:
        population: the identities.
        reading: what the events were read for.
        kept: by request; events are added to it.
        read: the events, with the columns of the reading.
        types: counts of the types of their properties, which are added to; None where they are counted already.
        seen: by identity, whether it has any of the events: set where it has.
    """
    names, events = reading.columns, 0
    for read_columns in pieces(read):
        if not len(read_columns[0]) or not len(population):
            continue
        events += len(read_columns[0])
        piece = Piece(population, dict(zip(names, read_columns, strict=True)))
        for each in kept.values():
            each.add(piece)
        if types is not None:
            for field, name in reading.types.items():
                types[reading.name, field] += np.bincount(piece.columns[name], minlength=CODES)
        if seen is not None:
            seen[piece.exposed] = True
    return events


def _empty(population: Population, reading: Reading, request: Request) -> Kept:
    names = reading.conditions
    match request:
        case KeptSteps(_, steps):
            return StepEvents([(step, names.get((where, None))) for step, where in steps])
        case KeptNumbers(_, where, span):
            return EventNumbers(population, span, names.get((where, None)))
        case Tallied(_, where, span, of):
            return Tally(population, span, reading.requests[request], names.get((where, of)))


def until_end(read: Iterator[RecordBatch | None]) -> Batches:
    """Return what comes before the next None."""
    return iter(partial(next, read), None)
