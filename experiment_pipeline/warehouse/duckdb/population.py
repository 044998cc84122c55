"""The analysed identities of one scan, found again by their hashes."""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Integers: TypeAlias = NDArray[np.int64]

NOT_EXPOSED = np.iinfo(np.int64).max  # the time of an identity that was never exposed
MOST_STEPS = 8
MOST_IDENTITIES = 4_000_000  # tallied at once, in some 500 MB; more are tallied range by range of their hashes


class Population:
    """Analysed identities, numbered in the order of their hashes.

    Args:
        identity_hash: of every identity.
        starts_at: where its analysis starts: its first exposure, or its entry (rule M19), in microseconds since 1970.
        arm: the number of its arm.
        arms: how many there are.
        first_exposed_at: its first exposure, where that is not where its analysis starts.

    Attributes:
        members: by arm, the numbers of its identities.

    Hashes are spread evenly, so the first bits of a hash tell its position among the sorted ones to within a step or
    two.
    """

    def __init__(
        self,
        identity_hash: Integers,
        starts_at: Integers,
        arm: Integers,
        arms: int,
        first_exposed_at: Integers | None = None,
    ) -> None:
        order = _rising(identity_hash)
        self._size = len(identity_hash)
        self._hashes = np.append(identity_hash[order], NOT_EXPOSED)  # an end mark: no hash comes after it
        self._starts_at = np.append(starts_at[order], NOT_EXPOSED)
        self._first_exposed_at = self._starts_at
        if first_exposed_at is not None:
            self._first_exposed_at = np.append(first_exposed_at[order], NOT_EXPOSED)
        self._order, self._arm, self._arms = order, arm[order], arms
        self.members = _grouped(self._arm, arms)
        self._bits = self._size.bit_length() + 1

    def __len__(self) -> int:
        return self._size

    @property
    def identity_hash(self) -> Integers:
        """The hash of every identity, in rising order."""
        return self._hashes[:-1]

    @property
    def arm(self) -> Integers:
        """The number of the arm of every identity."""
        return self._arm

    @property
    def starts_at(self) -> Integers:
        """The time where every identity's analysis starts, in microseconds since 1970."""
        return self._starts_at[:-1]

    def first_exposed_at(self, numbers: Integers) -> Integers:
        """Return the first exposures of these identities, in microseconds since 1970."""
        return self._first_exposed_at[numbers]

    def members_of(self, codes: Integers, groups: int) -> list[list[Integers]]:
        """Return the numbers of the identities of every group, by arm.

        Args:
            codes: the number of the group of every identity, in the order in which the identities were given.
            groups: how many there are.
        """
        members = _grouped(codes[self._order] * self._arms + self._arm, groups * self._arms)
        return [members[group * self._arms : (group + 1) * self._arms] for group in range(groups)]

    def find(self, identity_hash: Integers) -> tuple[Integers, Integers, Integers]:
        """Return the numbers of the identities in a column of hashes, and where their analysis starts.

        Args:
            identity_hash: the identity of every event; events of one identity are neighbours.

        Returns:
            The numbers of the identities, where their analysis starts, and for every event the index of its identity in
            these two. An unknown identity gets an arbitrary number and the time `NOT_EXPOSED`.
        """
        changes = np.concatenate(([True], identity_hash[1:] != identity_hash[:-1]))  # an identity's events lie together
        identity_hash = identity_hash[np.flatnonzero(changes)]
        changes[0] = False
        belongs_to = np.cumsum(changes.view(np.int8), dtype=np.int64)  # of booleans it takes five times as long
        numbers = self._starts[self._first_bits(identity_hash)]
        behind = np.flatnonzero(self._hashes[numbers] < identity_hash)
        for _ in range(MOST_STEPS):
            numbers[behind] += 1
            behind = behind[self._hashes[numbers[behind]] < identity_hash[behind]]
        numbers[behind] = np.searchsorted(self._hashes, identity_hash[behind])  # only forged hashes are so much alike
        starts_at = np.where(self._hashes[numbers] == identity_hash, self._starts_at[numbers], NOT_EXPOSED)
        return numbers, starts_at, belongs_to

    @cached_property
    def _starts(self) -> Integers:
        """How many identities have smaller first bits, for all that these can be."""
        sharing = np.bincount(self._first_bits(self._hashes[:-1]), minlength=1 << self._bits)
        return np.cumsum(sharing) - sharing

    def _first_bits(self, identity_hash: Integers) -> Integers:
        return (identity_hash >> (64 - self._bits)) + (1 << (self._bits - 1))


def _rising(identity_hash: Integers) -> Integers | slice:
    """Return the order of rising hashes; a slice where they come in it, as those of an artifact do."""
    if (identity_hash[1:] > identity_hash[:-1]).all():
        return slice(None)
    return np.argsort(identity_hash, kind="stable")


def _grouped(codes: Integers, groups: int) -> list[Integers]:
    """Return the positions of every code, in order."""
    narrow = codes.astype(np.min_scalar_type(groups))  # NumPy sorts 16 bits in a fifth of the time that 64 take
    by_code = np.argsort(narrow, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=groups))
    return [by_code[start:end] for start, end in pairwise([0, *ends.tolist()])]


def hash_ranges(ranges: int) -> Iterator[dict[str, int]]:
    """Yield so many ranges of hashes, of about as many identities each: hashes are spread evenly."""
    bounds = [number * 2**64 // ranges - 2**63 for number in range(ranges + 1)]
    for lowest, beyond in pairwise(bounds):
        yield {"lowest_hash": lowest, "highest_hash": beyond - 1}


def ranges_of(identities: int) -> Iterator[dict[str, int]]:
    """Yield ranges of hashes that hold about `MOST_IDENTITIES` of the identities each."""
    return hash_ranges(max(1, -(-identities // MOST_IDENTITIES)))
