"""Planning: which of the objects that have landed are the next batch (rules E7, D5)."""

from collections import defaultdict
from collections.abc import Sequence

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.landing.source_objects import range_of

BATCH_BYTES = 256 << 20  # of objects as stored: bounds what one batch stages


def oldest(unknown: Sequence[LandedObject]) -> list[LandedObject]:
    """Return the objects of the next batch.

    A range that replaces what its source has brought (rule D5) is a batch of its own, whatever its size, after all that
    landed before its last object: what the source brought by then leaves, and nothing that it brings later.
    """
    replacing: defaultdict[str, list[LandedObject]] = defaultdict(list)
    groups: list[tuple[bool, list[LandedObject]]] = []
    for landed in unknown:
        found = range_of(landed.name)
        if found is not None and found.replaces:
            replacing[f"{found.environment_key}/{found.source}/{found.name}"].append(landed)
        else:
            groups.append((False, [landed]))
    groups += [(True, group) for group in replacing.values()]
    groups.sort(key=lambda group: max((landed.landed_at, landed.name) for landed in group[1]))
    chosen: list[LandedObject] = []
    size = 0
    for replaces, group in groups:
        size += sum(landed.bytes for landed in group)
        if chosen and (replaces or size > BATCH_BYTES):
            break
        chosen += group
        if replaces:
            break
    return chosen
