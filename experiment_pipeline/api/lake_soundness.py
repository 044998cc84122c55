"""Whether the lake fits the registry, as the API asks it: it reads the logs of the lake's tables, and no event."""

import structlog

from experiment_pipeline.api.dependencies import State
from experiment_pipeline.errors import LakeError, StorageUnavailable, UnsoundLake
from experiment_pipeline.storage.places import places_of

log = structlog.get_logger(__name__)


def lake_flaw(shared: State) -> str | None:
    """Return what does not fit between lake and registry, and the remedy; None where they fit."""
    from experiment_pipeline.lake.soundness import find_flaw  # takes its time: reads do without

    try:
        finding = find_flaw(places_of(shared.settings).lake, shared.registry.batches)
    except LakeError as unreadable:  # its cause names folders, and anybody may ask
        log.warning("lake.unreadable", reason=str(unreadable))
        return "The log of the lake cannot be read; the reason stands in the service's own log."
    except StorageUnavailable as away:
        log.warning("storage.unavailable", reason=str(away))
        return "The object storage cannot be used; the reason stands in the service's own log."
    except OSError as unreadable:
        return f"The lake cannot be read: {unreadable.strerror}."
    return None if finding is None else finding.message


def require_sound_lake(shared: State) -> None:
    """Refuse a refresh that could only fail.

    Raises:
        UnsoundLake: the lake does not fit the registry.
    """
    if (flaw := lake_flaw(shared)) is not None:
        raise UnsoundLake(flaw)
