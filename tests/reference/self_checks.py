"""Splits of the self-check in plain Python: one bit of a hash of experiment, metric, split and identity."""

from collections.abc import Iterable
from hashlib import blake2b

SPLITS = 200
WIDTH = 64  # splits by one hash
MASK = 2**64 - 1


def halves(partition_key: str, metric_id: int, identities: Iterable[int]) -> list[tuple[list[int], list[int]]]:
    """Return the hashes of both halves of every split.

    Args:
        partition_key: of the experiment.
        metric_id: of the metric.
        identities: hashes of 64 bits, signed.
    """
    every = list(identities)
    found = []
    for block in range(-(-SPLITS // WIDTH)):
        mixed = [(each, _mixed(partition_key, metric_id, block, each)) for each in every]
        for bit in range(min(WIDTH, SPLITS - block * WIDTH)):
            first = [each for each, bits in mixed if not bits >> bit & 1]
            found.append((first, [each for each, bits in mixed if bits >> bit & 1]))
    return found


def _mixed(partition_key: str, metric_id: int, block: int, identity_hash: int) -> int:
    """Return the bits that put an identity into a half of each split of a block: 0 into the first."""
    seed = int.from_bytes(blake2b(f"{partition_key}\n{metric_id}\n{block}".encode(), digest_size=8).digest(), "big")
    return _finalised((identity_hash & MASK) ^ seed)


def _finalised(number: int) -> int:
    """Return what SplitMix64 makes of a number (Steele, Lea and Flood 2014)."""
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & MASK
    return number ^ (number >> 31)
