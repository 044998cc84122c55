"""The installation of the assets' tests, for replays of what it published."""

import json
import sqlite3
from contextlib import closing
from typing import Any

from tests.assets.conftest import Installation, installation

__all__ = ["change_look", "installation"]


def change_look(installed: Installation, number: int, payload: dict[str, Any], code_version: str | None = None) -> None:
    """Write another payload in the place of a published one, and another code version if one is given."""
    look = installed.registry.looks.get(installed.experiment().id, number)
    changed = (json.dumps(payload), code_version or look.code_version, number - 1)
    with closing(sqlite3.connect(installed.settings.data_dir / "registry.sqlite")) as database, database:
        database.execute(
            "UPDATE payloads SET payload = ?, code_version = ?"
            " WHERE id = (SELECT id FROM payloads WHERE computation = 'results' ORDER BY id LIMIT 1 OFFSET ?)",
            changed,
        )
