"""The band of a self-check: how often tests at 5 % call two halves of one arm different, where they keep their level.

Splits by independent hashes are independent of each other given the data, and each call has the same probability: that
with which the test rejects over all ways to split these values. Where it is the test's level, the number of calls is
binomial. Where few identities hold most of the values it is not: docs/adr/0046.
"""

LEVEL = 0.05
FEWEST_CALLS, MOST_CALLS = 2, 21  # the middle 99.9 % of a binomial number of 200 at 5 %
LEAST_OF_EITHER = 100  # identities of a share's rarer outcome


def is_in_band(calls: int) -> bool:
    """Return whether so many calls of 200 are what chance brings: 2 to 21.

    Example:
        >>> [calls for calls in (0, 1, 2, 10, 21, 22) if is_in_band(calls)]
        [2, 10, 21]
    """
    return FEWEST_CALLS <= calls <= MOST_CALLS
