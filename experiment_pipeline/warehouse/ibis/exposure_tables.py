"""Tables of first exposures in a warehouse: one per experiment, phase and generation (rule N3).

The stamp of an experiment names its table, and is replaced in one step: a reader finds all of one generation. A
generation that nobody names any more, or that a killed refresh has begun, is dropped by the next refresh.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.storage.object_path import StoragePath
from experiment_pipeline.warehouse.ibis.engine import Rows
from experiment_pipeline.warehouse.ibis.statements import has_statement, statement

PREFIX = "first_exposures"


@dataclass(frozen=True, slots=True)
class ExposureTable:
    """The table of one generation.

    Attributes:
        of: what it is of: `first_exposures_<experiment id>_<phase>_<digest of the installation's artifacts folder>`.
        generation: microseconds since 1970; later ones are larger.
    """

    of: str
    generation: int

    @classmethod
    def new(cls, scope: AnalysisScope, artifacts: StoragePath) -> Self:
        """Return the table of a new generation of a scope."""
        experiment_id = scope.partition_key.rsplit("-", 1)[1]
        installation = hashlib.sha256(str(artifacts.absolute()).encode()).hexdigest()[:8]
        return cls(f"{PREFIX}_{experiment_id}_{scope.phase}_{installation}", time.time_ns() // 1000)

    @classmethod
    def of_name(cls, name: str) -> Self | None:
        """Return the table of a name; None of any other table."""
        of, _, generation = name.rpartition("_")
        return cls(of, int(generation)) if of.startswith(f"{PREFIX}_") and generation.isdecimal() else None

    @property
    def name(self) -> str:
        """The name in the warehouse: letters, digits and underscores alone."""
        return f"{self.of}_{self.generation}"


@dataclass(frozen=True, slots=True)
class ExposureTables:
    """Store of these tables.

    Attributes:
        engine: its name.
        run: runs a statement for the scope.
    """

    engine: str
    run: Callable[[str], Rows]

    def create(self, table: ExposureTable, select: str) -> str:
        """Fill a new table, and return the statement.

        Raises:
            ConfigurationError: the engine has no such tables, or refuses the statement.
        """
        if not has_statement(self.engine, PREFIX):
            message = f"is not possible with {self.engine}: leave it out, and every statement computes first exposures."
            raise ConfigurationError.of("EXPERIMENT_PIPELINE_WAREHOUSE_WRITE", message)
        sql = statement(self.engine, PREFIX).format(table=table.name, select=select)
        self.run(sql)
        return sql

    def drop(self, table: ExposureTable) -> None:
        """Drop a table, if it is there."""
        self.run(f"drop table if exists {table.name}")

    def drop_earlier(self, kept: ExposureTable) -> None:
        """Drop the earlier generations of what a table is of; later ones are at work."""
        found = (ExposureTable.of_name(row["name"]) for row in self.run(statement(self.engine, "tables")))
        for table in found:
            if table is not None and table.of == kept.of and table.generation < kept.generation:
                self.drop(table)
