"""Exact order statistics of values in several pieces, which may lie on disk (rules M10, M12)."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.stats.arrays import Floats

Keys: TypeAlias = NDArray[np.uint64]

AT_ONCE = 8_000_000  # values that are sorted in memory; more are counted, digit by digit
DIGIT_BITS = 16
SIGN = np.uint64(1 << 63)


def nearest_rank(share: float | Fraction, n: int) -> int:
    """Return the rank of the smallest of n values that at least this share of them does not exceed; from 1 on.

    The share is taken as the decimal number that it is written as: 0.9 of 10 values is the ninth.
    """
    return max(1, math.ceil(Fraction(str(share)) * n))


def order_statistics(pieces: Iterable[Floats], ranks: Sequence[int]) -> list[float]:
    """Return the values at these ranks of all pieces together.

    Args:
        pieces: finite values, of which there are at least as many as the largest rank.
        ranks: each from 1 on.
    """
    kept = [piece for piece in pieces if len(piece)]
    if sum(map(len, kept)) <= AT_ONCE:
        places = [rank - 1 for rank in ranks]
        together = np.partition(np.concatenate(kept), sorted(set(places)))
        return [float(together[place]) for place in places]
    return [_selected(kept, rank) for rank in ranks]


def _selected(pieces: Sequence[Floats], rank: int) -> float:
    """Return the value at a rank: sixteen bits at a time, from the first on, each a pass over the pieces."""
    prefix, remaining = 0, rank
    for shift in range(64 - DIGIT_BITS, -1, -DIGIT_BITS):
        counts = np.zeros(1 << DIGIT_BITS, np.int64)
        for piece in pieces:
            for start in range(0, len(piece), AT_ONCE):
                keys = _keys(piece[start : start + AT_ONCE])
                if shift + DIGIT_BITS < 64:
                    keys = keys[keys >> np.uint64(shift + DIGIT_BITS) == np.uint64(prefix)]
                digits = (keys >> np.uint64(shift)) & np.uint64((1 << DIGIT_BITS) - 1)
                counts += np.bincount(digits.astype(np.int64), minlength=1 << DIGIT_BITS)
        up_to = np.cumsum(counts)
        digit = int(np.searchsorted(up_to, remaining))
        remaining -= int(up_to[digit - 1]) if digit else 0
        prefix = prefix << DIGIT_BITS | digit
    return _value(prefix)


def _keys(values: Floats) -> Keys:
    """Return whole numbers that are in the order of the values."""
    bits = (np.asarray(values) + 0.0).view(np.uint64)
    keys: Keys = np.where(bits & SIGN, ~bits, bits | SIGN)
    return keys


def _value(key: int) -> float:
    bits = key ^ (1 << 63) if key >> 63 else ~key & (2**64 - 1)
    return float(np.array([bits], np.uint64).view(np.float64)[0])
