"""A process that stores first exposures in a warehouse, and may be killed before anything names them."""

import json
import os
import signal
import sys
from pathlib import Path

from typing_extensions import override

from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.warehouse.artifacts import ArtifactStore, Stamp
from experiment_pipeline.warehouse.ibis.statements import statement
from experiment_pipeline.warehouse.ibis.warehouse import IbisWarehouse
from experiment_pipeline.warehouse.limits import WarehouseLimits
from tests.warehouse.ibis.test_in_place import SCOPE

PREPARE, KILLED, WHOLE = "prepare", "killed", "whole"


class KilledWarehouse(IbisWarehouse):
    """An engine whose process is killed when its table is full and its stamp is not written."""

    @override
    def _replace_stamp(self, scope: AnalysisScope, stamp: Stamp) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, folder: Path, mode: str) -> None:
    """Store first exposures, and print their tables and their number."""
    kind = KilledWarehouse if mode == KILLED else IbisWarehouse
    engine = kind.open(ConnectionUrl(url, "test"), ArtifactStore(folder), WarehouseLimits(writes=True))
    run = engine.analysis.engine.run
    if mode == PREPARE:
        run(statement(engine.analysis.engine.dialect.name, "table"))
        run(
            "insert into events (environment_key, event, feature_name, identifier, value, timestamp, loaded_at) values"
            " ('prod', '$flag_exposure', 'checkout', '1', 'a', '2026-03-02 00:00:00', '2026-06-01 00:00:00')"
        )
        return
    engine.write_first_exposures(SCOPE)
    names = [row["name"] for row in run(statement(engine.analysis.engine.dialect.name, "tables")).rows]
    print(json.dumps({"tables": names, "identities": engine.variant_identities(SCOPE)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
