"""Problems of an object as a whole: kept in the registry, and told by the check `landing_objects_readable`."""

from enum import StrEnum


class Problem(StrEnum):
    """Problem of an object as a whole; its good lines count all the same."""

    EMPTY = "empty"
    MISSING = "missing"
    TRUNCATED_GZIP = "truncated_gzip"
    CORRUPT_GZIP = "corrupt_gzip"
    NOT_GZIP = "not_gzip"
    NOT_PARQUET = "not_parquet"
    NOT_JSON = "not_json"
    UNREADABLE = "unreadable"
