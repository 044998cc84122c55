"""Halves of an arm: its identities split in two by seeded hashes, many times, and the moments of both halves."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.aggregates import EMPTY, PairAggregate, VariantAggregate
from experiment_pipeline.domain.self_check import SPLITS
from experiment_pipeline.results.self_check import Half
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.warehouse.duckdb.population import Integers

Hashes: TypeAlias = NDArray[np.uint64]

BITS, BINS = 8, 256  # a byte of a hash makes eight splits; identities with the same byte are summed first
BYTES = 8  # of a hash
AT_ONCE = 65_536  # identities whose columns stay in the processor's cache


class Halves:
    """Sums over both halves of every split, while identities come range by range.

    The half of an identity is one bit of a hash of the experiment, the metric, the split and the identity, so it is the
    same in whatever order, files and threads the identities come. Values are summed as deviations from the median of
    the first range: mean and median are less than one standard deviation apart, so that no digits are lost.

    Args:
        experiment: its partition key.
        metric_id: of the metric.
    """

    def __init__(self, experiment: str, metric_id: int) -> None:
        self._seeds = [_seed(f"{experiment}\n{metric_id}\n{number}") for number in range(-(-SPLITS // (BYTES * BITS)))]
        self._centres: list[float] = []
        self._sums: Floats = np.zeros((0, 0, 0))  # by byte, value of it, and column

    def add(self, identity_hash: Integers, y: Floats, x: Floats | None) -> None:
        """Add identities.

        Args:
            identity_hash: of each.
            y: the value of each.
            x: of each the second value of the metric, where it has two.
        """
        if not len(y):
            return
        values = [y] if x is None else [y, x]
        if not self._centres:
            self._centres = [float(np.median(each)) for each in values]
            self._sums = np.zeros((SPLITS // BITS, BINS, 3 * len(values)))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(y), AT_ONCE):
                piece = slice(start, start + AT_ONCE)
                self._add_piece(identity_hash[piece].view(np.uint64), [each[piece] for each in values])

    def splits(self) -> Iterator[tuple[Half, Half]]:
        """Yield both halves of every split: joint moments where the metric has two values."""
        if not self._centres:
            yield EMPTY, EMPTY
            return
        for split in range(SPLITS):
            byte, bit = divmod(split, BITS)
            with np.errstate(over="ignore", invalid="ignore"):
                one, other = self._sums[byte].reshape(-1, 2, 1 << bit, self._sums.shape[2]).sum(axis=(0, 2)).tolist()
            yield self._moments(one), self._moments(other)

    def _add_piece(self, identity_hash: Hashes, values: list[Floats]) -> None:
        deviations = [each - centre for each, centre in zip(values, self._centres, strict=True)]
        columns = [None, *deviations, *(each * each for each in deviations)]
        if len(deviations) > 1:
            columns.append(deviations[0] * deviations[1])
        for seed_number, seed in enumerate(self._seeds):
            mixed = _mixed(identity_hash ^ seed)
            for byte in range(min(BYTES, len(self._sums) - seed_number * BYTES)):
                codes = (mixed >> np.uint64(byte * BITS) & np.uint64(BINS - 1)).astype(np.int64)
                sums = self._sums[seed_number * BYTES + byte]
                for at, column in enumerate(columns):
                    sums[:, at] += np.bincount(codes, weights=column, minlength=BINS)

    def _moments(self, sums: list[float]) -> Half:
        """Return the moments of sums of 1, of the deviations, of their squares and of their products."""
        n = int(sums[0])
        if n == 0:
            return EMPTY
        if not np.isfinite(sums).all():
            return None
        if len(self._centres) == 1:
            (centre,) = self._centres
            _, dy, squares = sums
            return VariantAggregate(n, centre + dy / n, max(squares - dy / n * dy, 0.0))
        of_y, of_x = self._centres
        _, dy, dx, squares_y, squares_x, products = sums
        return PairAggregate(
            n,
            mean_x=of_x + dx / n,
            mean_y=of_y + dy / n,
            m2_x=max(squares_x - dx / n * dx, 0.0),
            m2_y=max(squares_y - dy / n * dy, 0.0),
            c_xy=products - dx / n * dy,
        )


def _seed(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(blake2b(text.encode(), digest_size=BYTES).digest(), "big"))


def _mixed(numbers: Hashes) -> Hashes:
    """Return numbers of which each bit depends on all bits of the given ones: the finaliser of SplitMix64.

    Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators".
    """
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers ^ (numbers >> np.uint64(31))
