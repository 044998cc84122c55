"""Splits of the self-check in plain Python: one bit of a hash of experiment, metric, split and identity."""

from collections.abc import Iterable
from hashlib import blake2b

SPLITS = 200
WIDTH = 64  # splits by one hash
MASK = 2**64 - 1


def is_in_first_half(partition_key: str, metric_id: int, split: int, identity_hash: int) -> bool:
    """Return whether a split puts an identity into its first half.

    Args:
        partition_key: of the experiment.
        metric_id: of the metric.
        split: from 0 on.
        identity_hash: 64 bits, signed.
    """
    block, bit = divmod(split, WIDTH)
    seed = int.from_bytes(blake2b(f"{partition_key}\n{metric_id}\n{block}".encode(), digest_size=8).digest(), "big")
    return not _finalised((identity_hash & MASK) ^ seed) >> bit & 1


def halves(partition_key: str, metric_id: int, identities: Iterable[int]) -> list[tuple[list[int], list[int]]]:
    """Return the hashes of both halves of every split."""
    every = list(identities)
    found = []
    for split in range(SPLITS):
        first = [each for each in every if is_in_first_half(partition_key, metric_id, split, each)]
        found.append((first, [each for each in every if each not in set(first)]))
    return found


def _finalised(number: int) -> int:
    """Return what SplitMix64 makes of a number (Steele, Lea and Flood 2014)."""
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & MASK
    return number ^ (number >> 31)
