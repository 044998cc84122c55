"""Distributions of values in several pieces, which may lie on disk: quantiles, frequent values, a histogram."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from experiment_pipeline.domain.metric_preview import QUANTILES, Bin, Distribution, ValueCount
from experiment_pipeline.stats.arrays import Floats
from experiment_pipeline.warehouse.duckdb.order_statistics import AT_ONCE, nearest_rank, order_statistics

SHOWN_VALUES = 10
BINS = 10
HISTOGRAM_ENDS_AT = 0.99  # the quantile where the last bar begins: few large values would leave one bar for all others
MOST_CANDIDATES = 1_000_000  # values that are counted at once


def distribution(pieces: Sequence[Floats]) -> Distribution | None:
    """Return the distribution of the values of all pieces together; None where there is no finite one."""
    finite = [piece[np.isfinite(piece)] for piece in pieces]
    n, too_large = sum(map(len, finite)), sum(map(len, pieces)) - sum(map(len, finite))
    if not n:
        return None
    ranks = [1, *(nearest_rank(share, n) for share in QUANTILES), n]
    smallest, *quantiles, largest = order_statistics(finite, ranks)
    top = _most_frequent(finite)
    shown = top[:SHOWN_VALUES]
    has_all = sum(each.count for each in shown) == n
    return Distribution(
        n=n,
        zeros=sum(int(np.count_nonzero(piece == 0)) for piece in finite),
        smallest=smallest,
        largest=largest,
        quantiles=tuple(quantiles),
        top=tuple(each for each in shown if each.count > 1),  # a value of one identity is not told
        bins=() if has_all else tuple(_histogram([piece[piece != 0] for piece in finite])),
        too_large=too_large,
    )


def _most_frequent(pieces: Sequence[Floats]) -> list[ValueCount]:
    """Return the most frequent values with their exact counts.

    Where there are more values than can be counted at once, rare ones are dropped on the way and the others counted
    again (Misra and Gries 1982, "Finding repeated elements"): none of more than `n / MOST_CANDIDATES` is lost.
    """
    values, counts, dropped = np.empty(0), np.empty(0, np.int64), False
    for chunk in _chunks(pieces):
        values, counts = _added(values, counts, *np.unique(chunk, return_counts=True))
        if len(values) > MOST_CANDIDATES:
            counts = counts - np.partition(counts, -MOST_CANDIDATES - 1)[-MOST_CANDIDATES - 1]
            values, counts, dropped = values[counts > 0], counts[counts > 0], True
    if dropped:
        counts = _counted(values, pieces)
    best = np.lexsort((values, -counts))[:SHOWN_VALUES]
    return [ValueCount(float(values[at]), int(counts[at])) for at in best]


def _added(
    values: Floats, counts: NDArray[np.int64], more: Floats, more_counts: NDArray[np.int64]
) -> tuple[Floats, NDArray[np.int64]]:
    together, places = np.unique(np.concatenate([values, more]), return_inverse=True)
    summed = np.zeros(len(together), np.int64)
    np.add.at(summed, places, np.concatenate([counts, more_counts]))
    return together, summed


def _counted(values: Floats, pieces: Sequence[Floats]) -> NDArray[np.int64]:
    """Return how often each of the values, which are sorted, occurs."""
    counts = np.zeros(len(values), np.int64)
    for chunk in _chunks(pieces):
        places = np.minimum(np.searchsorted(values, chunk), len(values) - 1)
        counts += np.bincount(places[values[places] == chunk], minlength=len(values))
    return counts


def _histogram(pieces: Sequence[Floats]) -> Iterator[Bin]:
    """Yield bars of equal, round width up to `HISTOGRAM_ENDS_AT`, and one of all that is beyond."""
    n = sum(map(len, pieces))
    low, high = order_statistics(pieces, [1, nearest_rank(HISTOGRAM_ENDS_AT, n)])
    width = _round_width((high - low) / BINS)
    first = math.floor(low / width)
    bars = max(1, math.ceil(high / width) - first)
    edges = np.array([(first + at) * width for at in range(bars + 1)])
    counts = np.zeros(bars + 1, np.int64)
    for chunk in _chunks(pieces):
        counts += np.bincount(np.searchsorted(edges[1:], chunk, side="right"), minlength=bars + 1)
    for at, count in enumerate(counts.tolist()):
        yield Bin(float(edges[at]), float(edges[at + 1]) if at < bars else None, count)


def _round_width(width: float) -> float:
    """Return the next larger width of 1, 2 or 5 times a power of ten; 1 where all values are one."""
    if width <= 0 or not math.isfinite(width):
        return 1.0
    power = 10.0 ** math.floor(math.log10(width))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= width)


def _chunks(pieces: Sequence[Floats]) -> Iterator[Floats]:
    for piece in pieces:
        for start in range(0, len(piece), AT_ONCE):
            yield piece[start : start + AT_ONCE] + 0.0  # a zero has no sign
