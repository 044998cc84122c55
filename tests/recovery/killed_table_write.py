"""Run as a process of its own: writes the tables of looks, and kills itself at a named point, the n-th time there.

python -m tests.recovery.killed_table_write <folder> write|rebuild <point> <n>
"""

import sys
from pathlib import Path

from experiment_pipeline.registry.table_outbox import TableOutbox
from experiment_pipeline.tables import delta_table
from experiment_pipeline.tables.delta_table import LookTable
from tests.recovery.kill_points import KillPoints
from tests.tables.looks import HOUR, START, Looks

POINTS = ("plan", "create", "write", "commit", "sync", "close")  # each is passed twice: before it happens and after


def main(root: Path, action: str, point: str, at: int) -> None:
    """Write what waits, or everything anew."""
    points = KillPoints(point, at)
    points.mark(TableOutbox, "plan", "plan")
    points.mark(TableOutbox, "close", "close")
    points.mark(LookTable, "open_or_create", "create")
    points.mark(LookTable, "write", "write")
    points.mark(LookTable, "commit", "commit")
    points.mark(delta_table, "sync", "sync")
    tables, later = Looks.open(root).tables, START + 12 * HOUR
    if action == "rebuild":
        tables.rebuild(later)
    else:
        tables.write(later)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
