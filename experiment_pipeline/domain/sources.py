"""Sources: the data that a team already has, where it is and which events its rows are (rules D0, D1, D7).

A draft is the entry of a manifest and what the registry keeps: one shape, whose fields state their own rules.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, with_config

from experiment_pipeline.domain.events import EPOCH, LINK_EVENT, OLDEST
from experiment_pipeline.domain.fields import STRICT, FieldErrors, Line, Text, adapter, at_most, rule, whole_seconds
from experiment_pipeline.domain.row_mapping import ColumnName, LinkMapping, RowMapping, check_mapping
from experiment_pipeline.domain.source_schedules import EVERY, is_even
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.times import Duration, TimeZone, iso_utc

SOURCE_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")  # a part of the names of folders, and of Dagster's assets
ASSET_NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")  # what Dagster makes an input of
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
IMPORT = "import"  # in the place of a source: files that were imported by hand
DUCKDB = "duckdb://"
OPEN_URLS = (DUCKDB, "sqlite://", "chdb://")  # of files, where nobody signs in
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
NO_URL = "Must be a path, a glob or a folder of this machine: s3:// and other schemes are not read."
NO_USER = "Must not hold '@' before the first '/': files have no user. Begin such a path with './'."
LINK_FIELDS = {"anonymous", "known"}
LINKED_AT = iso_utc(OLDEST)  # of links: the same pair is one event, however often it is read (rule E4)
SHORTEST_INTERVAL = timedelta(minutes=1)
URL_LENGTH = 2_000

# An instance is taken as it is: a field has another name than in the manifest.
READ_ONCE = ConfigDict(extra="forbid", revalidate_instances="never")


class RowsKind(StrEnum):
    """The life of a row (rule D7): it stays as it was, or the newest of an event id counts."""

    APPEND = "append"
    LATEST = "latest"


DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
OLDEST_EXPECTED = f"Must be a date from {EPOCH:%Y-%m-%d} to {OLDEST:%Y-%m-%d}, such as 2015-01-01."


def _day(given: object) -> object:
    """Return a date as it was stated: neither a number, which could be a year, nor a time of the day."""
    if isinstance(given, datetime) or not isinstance(given, date | str) or not DAY.fullmatch(str(given)):
        raise ValueError(OLDEST_EXPECTED)
    try:
        return given if isinstance(given, date) else date.fromisoformat(given)
    except ValueError:  # 30 February
        raise ValueError(OLDEST_EXPECTED) from None


def _listed(given: object) -> object:
    return [_as_event(each) for each in (given if isinstance(given, list | tuple) else [given])]


def _as_event(given: object) -> object:
    """Return a mapping of identity links, which has two fields, as that of the events that they are (rule D6)."""
    if not isinstance(given, dict) or given.keys() != LINK_FIELDS:
        return given
    anonymous, known = (given[name] for name in ("anonymous", "known"))
    return {"event": LINK_EVENT, "identifier": anonymous, "value": known, "timestamp": {"constant": LINKED_AT}}


SourceKey = Annotated[
    str, rule(SOURCE_KEY.fullmatch, "Must begin with a letter and hold up to 80 letters, digits or underscores.")
]
OldestDay = Annotated[
    date, BeforeValidator(_day), rule(lambda day: EPOCH.date() <= day <= OLDEST.date(), OLDEST_EXPECTED)
]
AssetName = Annotated[
    str,
    rule(
        ASSET_NAME.fullmatch,
        "Must be an asset's key, such as analytics/fct_orders: letters, digits, '_', '-', '.', with '/' between parts.",
    ),
]
RowMappings = Annotated[
    tuple[RowMapping, ...],
    BeforeValidator(_listed, json_schema_input_type=RowMapping | LinkMapping | tuple[RowMapping, ...]),
    rule(bool, "Must not be empty."),
]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ConnectionDraft:
    """Where data is. One of both is given."""

    url_env: Annotated[
        Annotated[
            str,
            rule(
                VARIABLE.fullmatch,
                "Must be the name of an environment variable, such as SHOP_DATABASE_URL, which holds the URL.",
            ),
            at_most(255),
        ]
        | None,
        Field(description="the environment variable that holds the URL, with its password"),
    ] = None
    url: Annotated[
        Annotated[
            Line,
            rule(
                lambda url: url.startswith(OPEN_URLS),
                f"Must begin with {', '.join(OPEN_URLS)}: others may hold a password. Name the variable of the "
                "environment that holds it in url_env.",
            ),
            rule(lambda url: URL.search(url.partition("://")[2]) is None, NO_URL),
            rule(lambda url: not _has_user(url), NO_USER),
            at_most(URL_LENGTH),
        ]
        | None,
        Field(description="the URL of files or of a database in a file, where nobody signs in"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection(ConnectionDraft):
    """A connection that is declared."""

    key: str


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Cursor:
    """The column by which rows are read that are new (rule D2)."""

    column: Annotated[ColumnName, Field(description="a column that grows, such as when a row was loaded")]
    overlap: Annotated[
        Annotated[Duration, whole_seconds(timedelta(0))] | None,
        Field(description="read so far back again each time, for rows that appear late; they count once"),
    ] = None


@with_config(READ_ONCE)
@dataclass(frozen=True, slots=True)
class SourceDraft:
    """A source to declare; it has `files` or a `connection`."""

    mappings: Annotated[
        RowMappings, Field(alias="as", description="the event of each row, or a list: a wide row has several")
    ]
    files: Annotated[
        Annotated[Line, rule(lambda files: URL.match(files) is None, NO_URL), at_most(URL_LENGTH)] | None,
        Field(description="a path or a glob, relative to the manifest: Parquet, CSV, JSON lines, a Delta table"),
    ] = None
    connection: Annotated[SourceKey | None, Field(description="one of `connections`")] = None
    query: Annotated[
        Text | None, Field(description="one SELECT statement; of files DuckDB SQL, `select * from files` when left out")
    ] = None
    cursor: Cursor | None = None
    rows: Annotated[
        RowsKind, Field(description="whether a row stays as it is, or the one with the largest cursor counts")
    ] = RowsKind.APPEND
    timezone: Annotated[TimeZone | None, Field(description="of times without one, such as Europe/Berlin")] = None
    oldest: Annotated[
        OldestDay | None,
        Field(description=f"the first day (UTC) of data from before {OLDEST:%Y}; events of earlier days are rejected"),
    ] = None
    every: Annotated[
        Annotated[Duration, whole_seconds(SHORTEST_INTERVAL)] | None, Field(description="how often it is read")
    ] = None
    upstream: Annotated[
        tuple[Annotated[AssetName, at_most(255)], ...],
        Field(description="assets of other Dagster code locations that make the data, such as analytics/fct_orders"),
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(SourceDraft):
    """A source that is declared.

    Attributes:
        key: its name, one of the whole installation.
        environment_key: of its events.
        version: counts the changes of what its rows are and of which events they become (rule D5).
    """

    key: str
    environment_key: str
    version: int


def check_connection(key: str, draft: ConnectionDraft) -> None:
    """Raise ConfigurationError, which names every field that is wrong, unless a connection may be declared so."""
    errors = FieldErrors()
    errors.validate(SourceKey, key, "key")
    errors.validate(ConnectionDraft, draft)
    one = (draft.url_env is None) != (draft.url is None)
    errors.require(one, "url_env", "Must be given, or url of files: one of both.")
    errors.raise_any()


def check_source(key: str, draft: SourceDraft) -> None:
    """Raise ConfigurationError, which names every field that is wrong, unless a source may be declared so."""
    errors = FieldErrors()
    errors.validate(SourceKey, key, "key")
    errors.require(key != IMPORT, "key", f"'{IMPORT}' is taken: files that are imported by hand have it.")
    one = (draft.files is None) != (draft.connection is None)
    errors.require(one, "connection", "Must be given, or files: one of both.")
    errors.require(draft.every is None or is_even(draft.every), "every", EVERY)
    for position, mapping in enumerate(draft.mappings):
        path = mapping_path(draft, position)
        check_mapping(errors, mapping, path)
        if draft.rows is RowsKind.LATEST:
            message = "Must be given where rows is latest: it tells which row is the same one again."
            errors.require(mapping.event_id is not None, f"{path}.event_id", message)
            message = "Must differ from those of the other mappings, such as 'refund-' || order_no in the query."
            earlier = [other.event_id for other in draft.mappings[:position]]
            errors.require(mapping.event_id is None or mapping.event_id not in earlier, f"{path}.event_id", message)
    if draft.rows is RowsKind.LATEST:
        message = "Must be given where rows is latest: the row with the largest one counts."
        errors.require(draft.cursor is not None, "cursor", message)
    elif draft.files is not None:
        message = "Must be left out: of files, those that are new or changed are read. With 'rows: latest' it orders."
        errors.require(draft.cursor is None, "cursor", message)
    errors.raise_any()


def mapping_path(draft: SourceDraft, position: int) -> str:
    """Return the field of one of the mappings, as it is written where there is only one."""
    return "as" if len(draft.mappings) == 1 else f"as.{position}"


def check_query(draft: SourceDraft, connection: Connection) -> None:
    """Raise ConfigurationError where a database is declared without a query: it has no table of all rows."""
    if draft.query is None and not (connection.url or "").startswith(DUCKDB):
        example = "select user_id, created_at, amount from orders"
        message = f"This field is required with the connection {quoted(connection.key)}: one SELECT, such as {example}."
        raise ConfigurationError.of("query", message)


def url_of(connection: Connection, environ: Mapping[str, str]) -> str:
    """Return the URL of a connection, which may hold a password.

    Raises:
        ConfigurationError: the environment has no such variable.
    """
    if connection.url_env is None:
        return connection.url or ""
    url = environ.get(connection.url_env, "").strip()
    if not url:
        message = f"The environment variable {connection.url_env} is not set: it must hold the URL."
        raise ConfigurationError.of(f"connections.{connection.key}.url_env", message)
    return url


def check_url_of_files(connection: Connection, url: str) -> None:
    """Refuse a variable's URL of files whose path does not begin at the root: every process has a folder of its own.

    Raises:
        ConfigurationError: the message does not hold the URL, which may have a user's password in the place of a path.
    """
    scheme = next((scheme for scheme in OPEN_URLS if url.startswith(scheme)), None)
    if connection.url_env is None or scheme is None or url.removeprefix(scheme).startswith("/"):
        return
    message = f"The path in {connection.url_env} must begin at the root, with three slashes: {scheme}/srv/exports."
    raise ConfigurationError.of(f"connections.{connection.key}.url_env", message)


def to_declared(draft: SourceDraft) -> dict[str, Any]:
    """Return a source as a manifest declares it, JSON-ready, with every field."""
    known = adapter(SourceDraft)
    dumped = known.dump_python(_bare(draft), mode="json", by_alias=True, exclude_none=True)
    return {name: dumped.get(name) for name in _declared_names()}


def from_declared(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the draft that `to_declared` has rendered."""
    draft = adapter(SourceDraft).validate_python({name: value for name, value in declared.items() if value is not None})
    return {field.name: getattr(draft, field.name) for field in fields(draft)}


def makes_other_rows(before: SourceDraft, after: SourceDraft) -> bool:
    """Return whether a change makes other events of the same data, and so a new version (rule D5)."""
    return _of_rows(before) != _of_rows(after)


def in_folder(text: str, folder: Path) -> str:
    """Return the path or the URL of files with a path that begins at the root: relative ones begin at the folder."""
    scheme = next((scheme for scheme in OPEN_URLS if text.startswith(scheme)), "")
    return f"{scheme}{folder.absolute() / text.removeprefix(scheme)}"


@cache
def _declared_names() -> tuple[str, ...]:
    """Return the fields of a source as a manifest names them, read once: making the schema takes 4 ms."""
    return tuple(adapter(SourceDraft).json_schema()["properties"])


def _has_user(url: str) -> bool:
    return "@" in url.partition("://")[2].partition("/")[0]


def _bare(draft: SourceDraft) -> SourceDraft:
    """Return the fields of the draft alone, without what a manifest's entry and the registry add."""
    return SourceDraft(**{field.name: getattr(draft, field.name) for field in fields(SourceDraft)})


def _of_rows(draft: SourceDraft) -> SourceDraft:
    cursor = None if draft.cursor is None else replace(draft.cursor, overlap=None)
    return replace(_bare(draft), cursor=cursor, every=None, upstream=())
