"""Does an object storage keep the conditions of writes? Delta's log and the leases of this package rest on them.

A store that takes `If-None-Match` and `If-Match` without looking at them loses commits silently: two writers of one
version of the lake would both be told that theirs is the one (docs/adr/0072).
"""

from contextlib import suppress
from functools import cache
from uuid import uuid4

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.storage.object_path import ObjectPath

REMEDY = "Use a store that has conditional writes, or a newer version of this one: see docs/object-storage.md."


def ignored_condition(root: ObjectPath) -> str | None:
    """Write an object below a path under conditions that do not hold, and delete it.

    Returns:
        What the store did in spite of the condition, as a sentence; None where it refused every such write.

    Raises:
        StorageUnavailable: it does not answer, or refuses the account.
    """
    probe = root / f".conditions-{uuid4().hex}"
    try:
        first = probe.create(b"first")
        with suppress(FileExistsError):
            probe.create(b"created again")
            return f"The object storage {root.bucket} writes an object that is there already, where it must be new."
        probe.write_bytes(b"second")
        with suppress(FileExistsError):
            probe.replace_version(b"in place of the first", first)
            return f"The object storage {root.bucket} writes in place of a version that an object no longer has."
    finally:
        probe.unlink(missing_ok=True)
    return None


@cache  # paths are equal by their URLs
def require_conditional_writes(root: ObjectPath) -> None:
    """Refuse a store that ignores the conditions of writes; it is asked once a process.

    Raises:
        ConfigurationError: it does.
        StorageUnavailable: it does not answer, or refuses the account.
    """
    if (ignored := ignored_condition(root)) is not None:
        raise ConfigurationError.of("storage", f"{ignored} {REMEDY}")
