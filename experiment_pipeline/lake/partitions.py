"""Partitions of the table `events`, as its column `month` has them.

There are those of a month's events, one of links between identities (rule D6), and beside each one of removals (E6).
"""

import re

LINKS = "links"  # of identities, whatever their time
REMOVALS = "-removals"  # what the name of a partition of removals ends with, after that of the events
FOLDER = re.compile(r"/month=([^/]+)/[^/]+$")


def removals_of(partition: str) -> str:
    """Return the partition that says which rows of a partition are removed."""
    return f"{partition}{REMOVALS}"


def is_of_removals(partition: str) -> bool:
    """Return whether a partition holds removals and no events."""
    return partition.endswith(REMOVALS)


def hidden_by(partition: str) -> str:
    """Return the partition whose rows a partition of removals hides."""
    return partition.removesuffix(REMOVALS)


def partition_of(path: str) -> str:
    """Return the partition that a file lies in, by its path."""
    found = FOLDER.search(path)
    return found[1] if found else ""
