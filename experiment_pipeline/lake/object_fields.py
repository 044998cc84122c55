"""Object fields: what a commit of the lake says of a landing object, so that a registry can learn it again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from experiment_pipeline.domain.batches import LandedObject, RejectedRows
from experiment_pipeline.landing.layout import environment_of

DEFAULTS = (None, 1, None)  # of what older commits do not say: the file's time, the reading, what is retried


def to_fields(landed: LandedObject) -> list[object]:
    """Return an object's fields as JSON has them; its name says its environment."""
    modified_at = landed.modified_at and landed.modified_at.isoformat()
    retried = landed.retried and [landed.retried.batch, landed.retried.reason]
    return [landed.name, landed.landed_at.isoformat(), landed.bytes, modified_at, landed.reading, retried]


def from_fields(fields: Sequence[Any]) -> LandedObject:
    """Return the object that a commit names; older commits say no more than name, arrival and size."""
    filled: Sequence[Any] = [*fields, *DEFAULTS[len(fields) - 3 :]]
    name, landed_at, size, modified_at, reading, retried = filled
    return LandedObject(
        name=name,
        environment_key=environment_of(name),
        landed_at=datetime.fromisoformat(landed_at),
        bytes=size,
        modified_at=datetime.fromisoformat(modified_at) if modified_at else None,
        reading=reading,
        retried=RejectedRows(*retried) if retried else None,
    )
