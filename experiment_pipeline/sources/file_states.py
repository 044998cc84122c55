"""Files as they were at a moment: a file that is another one after it was read lands nothing (rules D1, D2)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from experiment_pipeline.domain.source_ranges import SourceFile
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import Conflict

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def state_of(path: Path) -> SourceFile:
    """Return a file as it is now. Raises OSError where there is none."""
    status = path.stat()
    microseconds = status.st_mtime_ns // 1_000  # what a database keeps of a moment
    return SourceFile(str(path), status.st_size, EPOCH + timedelta(microseconds=microseconds))


def are_unchanged(files: Iterable[SourceFile]) -> bool:
    """Whether files are what they were."""
    return not any(map(_has_changed, files))


def require_unchanged(files: Iterable[SourceFile], remedy: str) -> None:
    """Refuse what was read of files where one has changed meanwhile.

    Args:
        files: as they were before they were opened.
        remedy: a sentence that says how to read them again.

    Raises:
        Conflict: names the file.
    """
    changed = next(filter(_has_changed, files), None)
    if changed is not None:
        raise Conflict(
            f"{printable(changed.path)} has changed while it was read: nothing of it has landed. {remedy} A file that "
            "is written slowly should have a name with a dot in front until it is complete."
        )


def _has_changed(file: SourceFile) -> bool:
    try:
        return state_of(Path(file.path)) != file
    except OSError:
        return True
