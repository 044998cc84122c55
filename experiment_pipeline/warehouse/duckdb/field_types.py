"""Types of JSON properties in SQL: the first character of a value's JSON text tells its type."""

from collections.abc import Iterable, Sequence

from experiment_pipeline.domain.field_types import SAMPLE_LENGTH, FieldType, FieldTypes
from experiment_pipeline.warehouse.duckdb.conditions import Parameters, path_of
from experiment_pipeline.warehouse.duckdb.statements import statement

CODES = 128  # ASCII; 0 stands for an event without the property
TYPES = {
    '"': FieldType.TEXT,
    "t": FieldType.BOOLEAN,
    "f": FieldType.BOOLEAN,
    "{": FieldType.NESTED,
    "[": FieldType.NESTED,
    **dict.fromkeys("-0123456789", FieldType.NUMBER),
}


def code_of(field: str, parameter: str) -> tuple[str, Parameters]:
    """Return the SQL of the first character's code, 0 without the property, and its parameter.

    It takes next to no time where a condition reads the same property: DuckDB extracts the value once for both.
    """
    column, path = path_of(field)
    return f"coalesce(ascii(json_extract({column}, ${parameter})), 0)::utinyint", {parameter: path}


def counts_of(events: Iterable[tuple[int, int]]) -> dict[FieldType, int]:
    """Return the number of events of each type that occurs, from the number of each code."""
    counts: dict[FieldType, int] = {}
    for code, number in events:
        if number and (of := TYPES.get(chr(code))) is not None:
            counts[of] = counts.get(of, 0) + number
    return dict(sorted(counts.items()))


def field_types_statement(fields: Sequence[str]) -> tuple[str, Parameters]:
    """Return the SQL that counts the values of these properties by the first character, with samples."""
    paths = [path_of(field) for field in fields]
    values = ", ".join(f"json_extract({column}, $path_{at})" for at, (column, _) in enumerate(paths))
    bound = {f"path_{at}": path for at, (_, path) in enumerate(paths)} | {"sample_length": SAMPLE_LENGTH}
    found = f"select unnest([{values}]) as found, unnest(range({len(fields)})) as position\nfrom event"
    return (
        f"with event as (\n{statement('property_events')}),\nproperty as (\n{found}\n)\n{statement('field_types')}",
        bound,
    )


def field_types(event: str, fields: Sequence[str], rows: Iterable[tuple[int, int, int, str, str]]) -> list[FieldTypes]:
    """Return the types of these properties from the rows of that statement."""
    by_field: list[dict[FieldType, list[tuple[int, str, str]]]] = [{} for _ in fields]
    for position, code, events, smallest, largest in rows:
        if (of := TYPES.get(chr(code))) is not None:
            by_field[position].setdefault(of, []).append((events, smallest, largest))
    return [_types_of(event, field, found) for field, found in zip(fields, by_field, strict=True)]


def _types_of(event: str, field: str, found: dict[FieldType, list[tuple[int, str, str]]]) -> FieldTypes:
    samples = {of: sorted({text for _, *texts in rows for text in texts}) for of, rows in found.items()}
    return FieldTypes(
        event,
        field,
        {of: sum(events for events, *_ in found[of]) for of in sorted(found)},
        {of: tuple(dict.fromkeys((texts[0], texts[-1]))) for of, texts in sorted(samples.items())},
    )
