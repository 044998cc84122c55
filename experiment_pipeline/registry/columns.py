"""Columns of the registry's tables: moments in UTC, ids, and the names that constraints have."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, ColumnElement, DateTime, Dialect, Integer, MetaData, TypeDecorator, false
from typing_extensions import override

MAX_ID = 2**31 - 1  # of PostgreSQL's integer; a larger one in a query is an error there

# A batch of the lake, or microseconds since 1970 of a warehouse (rule N4); SQLite's integers have 64 bits already.
DataVersion = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: refuses naive values, stores microseconds, returns aware ones on SQLite too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"datetime: must be aware, got {value!r}")
        return value.astimezone(UTC)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def is_id(column: ColumnElement[int], number: int) -> ColumnElement[bool]:
    """Return the condition that a column holds this id; none holds an id that does not fit."""
    return column == number if 0 < number <= MAX_ID else false()
