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
    MISSING_COLUMNS = "missing_columns"
    NOT_JSON = "not_json"
    ONE_JSON_ARRAY = "one_json_array"
    ONE_JSON_OBJECT = "one_json_object"
    UNREADABLE = "unreadable"


AGAIN = "then land it under another name; what is in already counts once"
A_LINE_EACH = f"write one record a line, for example with jq -c '{{}}' FILE, {AGAIN}"
_EXPLANATIONS = {
    Problem.EMPTY: "it holds nothing",
    Problem.MISSING: "it was deleted before it was read",
    Problem.TRUNCATED_GZIP: f"its end is missing: write it anew, {AGAIN}",
    Problem.CORRUPT_GZIP: f"it is damaged: write it anew, {AGAIN}",
    Problem.NOT_GZIP: "it was read as text, although its name ends with .gz",
    Problem.NOT_PARQUET: f"it is damaged, or no Parquet file: write it anew, {AGAIN}",
    Problem.MISSING_COLUMNS: f"every row of it is rejected: write it with the columns of an event, {AGAIN}",
    Problem.NOT_JSON: f"no line of it is JSON: {A_LINE_EACH.format('.')}",
    Problem.ONE_JSON_ARRAY: f"it is one array: {A_LINE_EACH.format('.[]')}",
    Problem.ONE_JSON_OBJECT: f"it is one object over several lines: {A_LINE_EACH.format('.')}",
    Problem.UNREADABLE: f"lake rejected names the error: mend it, {AGAIN}",
}


def explanation(problem: str) -> str:
    """Return what a problem means, and what to do about it; nothing for one that this version does not know.

    Args:
        problem: as the registry keeps it, with `: ` and details behind it, if there are any.
    """
    kind, _, _ = problem.partition(":")
    return next((text for known, text in _EXPLANATIONS.items() if known == kind), "")
