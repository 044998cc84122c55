"""Entering events: statements over what has entered the scope since an earlier refresh, instead of over all events.

A refresh to data version v1 as of a1, after one to v0 as of a0, has to take in the rows of batches in (v0, v1], and
those of batches up to v0 whose time lies in [a0, a1): they lay ahead of the refresh before. Others are in the state.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.visible_events import STORED, Parameters, over_visible

NEWEST_BATCH = re.compile(r"(?:batch|merged-to)-(\d+)-[^/]*$")  # in the names of the lake's files
PARAMETER = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class Known:
    """The rows that an earlier refresh has seen: of batches up to a data version, of times before its as-of."""

    as_of: datetime
    data_version: int

    def over_entering(self, sql: str, parameters: Parameters) -> tuple[str, Parameters]:
        """Return a statement over the events that have entered the scope since, with its parameters.

        Args:
            sql: a statement that reads events `STORED`.
            parameters: what it takes over all events.
        """
        files = parameters["event_files"]
        new = new_files(files, self.data_version)
        stages = ["later_batches", "times_come"] if new else ["times_come"]
        return self._over(stages, sql, {**parameters, "new_files": new, "known_files": files})

    def has_entering(self, connection: duckdb.DuckDBPyConnection, events: Collection[str], of: Parameters) -> bool:
        """Return whether an event of one of these names has entered the scope since.

        Args:
            connection: for the query.
            events: the names.
            of: parameters of statements that read events.
        """
        sql, parameters = self.over_entering(statement("measured_times"), {**of, "events": sorted(events)})
        return bool(connection.execute(sql, parameters).fetchall())

    def over_known(self, sql: str, parameters: Parameters, changed: str, since: datetime) -> tuple[str, Parameters]:
        """Return a statement over the events that it saw of some identities, with its parameters.

        Args:
            sql: a statement that reads events `STORED`.
            parameters: what it takes over all events.
            changed: a Parquet file of the identities: `identity_hash`.
            since: no earlier event counts.
        """
        of_known = {"known_files": parameters["event_files"], "changed": [changed], "changed_since": since}
        return self._over(["known_events"], sql, {**parameters, **of_known})

    def _over(self, stages: Sequence[str], sql: str, parameters: Parameters) -> tuple[str, Parameters]:
        visible, bound = over_visible(sql, parameters)
        read = visible.replace(STORED, "(\n" + "union all\n".join(map(statement, stages)) + ")")
        known = {"known_as_of": self.as_of, "known_data_version": self.data_version}
        wanted = set(PARAMETER.findall(read))
        return read, {name: value for name, value in {**bound, **known}.items() if name in wanted}


def new_files(files: Sequence[str], data_version: int) -> list[str]:
    """Return the files that may hold rows of later batches; those of unknown names are among them."""
    found = ((file, NEWEST_BATCH.search(file)) for file in files)
    return [file for file, name in found if name is None or int(name[1]) > data_version]
