"""Sources as they are declared: what is refused, what makes a new version, how they are stored (rules D0, D5, D7)."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from experiment_pipeline.domain.fields import FieldErrors, adapter
from experiment_pipeline.domain.row_mapping import FieldSource, RowMapping
from experiment_pipeline.domain.sources import (
    NO_URL,
    Connection,
    ConnectionDraft,
    Cursor,
    RowsKind,
    SourceDraft,
    check_connection,
    check_query,
    check_source,
    check_url_of_files,
    from_declared,
    in_folder,
    makes_other_rows,
    to_declared,
)
from experiment_pipeline.errors import ConfigurationError

ORDERS = RowMapping(
    identifier=FieldSource(column="user_id"),
    timestamp=FieldSource(column="created_at"),
    event=FieldSource(constant="purchased"),
)
REFUNDS = replace(ORDERS, event=FieldSource(constant="refunded"))
OF_FILES = SourceDraft(mappings=(ORDERS,), files="/exports/*.parquet")
OF_DATABASE = SourceDraft(
    mappings=(ORDERS,),
    connection="shop",
    query="select * from orders",
    cursor=Cursor("loaded_at", timedelta(hours=1)),
    timezone="Europe/Berlin",
    every=timedelta(minutes=15),
    upstream=("analytics/fct_orders",),
)
OF_THE_PAST = replace(OF_FILES, oldest=date(2015, 1, 1))


def errors_of(key: str, draft: SourceDraft) -> dict[str, list[str]]:
    with pytest.raises(ConfigurationError) as refused:
        check_source(key, draft)
    return refused.value.errors


@pytest.mark.parametrize("draft", [OF_FILES, OF_DATABASE, OF_THE_PAST])
def test_check_source__of_files_and_of_a_database__accepts(draft: SourceDraft) -> None:
    check_source("orders", draft)


@pytest.mark.parametrize("key", ["", "1st", "my-orders", "a.b", "a/b", "x" * 81])
def test_check_source__key_that_no_folder_or_asset_can_have__is_refused(key: str) -> None:
    message = "Must begin with a letter and hold up to 80 letters, digits or underscores."
    assert errors_of(key, OF_FILES) == {"key": [message]}


def test_check_source__interval_that_no_clock_repeats__is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^every: Must be 1, 2, 3, 4, 5, 6, 10, .* such as PT15M"):
        check_source("orders", replace(OF_FILES, every=timedelta(minutes=7)))


def test_check_source__name_of_files_that_are_imported__is_refused() -> None:
    assert list(errors_of("import", OF_FILES)) == ["key"]


@pytest.mark.parametrize("changes", [{"files": None}, {"connection": "shop"}])
def test_check_source__neither_or_both_of_files_and_connection__is_refused(changes: dict[str, Any]) -> None:
    message = "Must be given, or files: one of both."
    assert errors_of("orders", replace(OF_FILES, **changes)) == {"connection": [message]}


def test_check_source__second_mapping_that_is_wrong__is_named_by_its_position() -> None:
    wrong = replace(ORDERS, event=None)
    assert list(errors_of("orders", replace(OF_FILES, mappings=(ORDERS, wrong)))) == ["as.1.event"]
    assert list(errors_of("orders", replace(OF_FILES, mappings=(wrong,)))) == ["as.event"]


def test_check_source__latest_rows__need_an_event_id_and_a_cursor() -> None:
    latest = replace(OF_FILES, rows=RowsKind.LATEST)
    assert list(errors_of("orders", latest)) == ["as.event_id", "cursor"]
    numbered = replace(ORDERS, event_id=FieldSource(column="order_id"))
    check_source("orders", replace(latest, mappings=(numbered,), cursor=Cursor("loaded_at")))


def test_check_source__cursor_of_files__is_refused() -> None:
    assert list(errors_of("orders", replace(OF_FILES, cursor=Cursor("loaded_at")))) == ["cursor"]


@pytest.mark.parametrize("name", ["analytics/fct orders", "analytics//fct_orders", "/fct_orders", "fct,orders", ""])
def test_upstream__no_key_of_an_asset__is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=r"(?s)upstream.*Must be an asset's key"):
        adapter(SourceDraft).validate_python({"files": "a.csv", "as": {}, "upstream": ["dbt-shop/a.b", name]})


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (ConnectionDraft(), "url_env"),
        (ConnectionDraft(url_env="SHOP", url="duckdb:///a.parquet"), "url_env"),
        (ConnectionDraft(url_env="postgresql://me:secret@host/shop"), "url_env"),
        (ConnectionDraft(url="postgresql://me:secret@host/shop"), "url"),
        (ConnectionDraft(url="duckdb://s3://me:secret@bucket/a.csv"), "url"),
        *((ConnectionDraft(url=f"{kind}://me:secret@host/shop"), "url") for kind in ("duckdb", "sqlite", "chdb")),
    ],
)
def test_check_connection__not_one_of_both_or_a_secret__is_refused_without_the_secret(
    draft: ConnectionDraft, field: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_connection("shop", draft)
    assert field in refused.value.errors
    assert "secret" not in str(refused.value)


def test_check_connection__path_with_an_at_sign__is_accepted() -> None:
    check_connection("shop", ConnectionDraft(url="duckdb://./ana@home/a.csv"))


@pytest.mark.parametrize("files", ["s3://key:secret@bucket/*.parquet", "gs://bucket", "file:///a", "duckdb:///a"])
def test_check_source__url_in_the_place_of_files__is_refused_without_it(files: str) -> None:
    errors = FieldErrors()
    errors.validate(SourceDraft, {"files": files, "as": {}})
    assert errors.errors["files"] == [NO_URL]


@pytest.mark.parametrize("url", ["duckdb://exports/*.csv", "sqlite://me:secret@shop.db", "chdb://me:secret@h/shop"])
def test_check_url_of_files__of_a_variable__begins_at_the_root(url: str) -> None:
    connection, scheme = Connection(key="shop", url_env="SHOP"), url.partition("://")[0]
    with pytest.raises(ConfigurationError, match=rf"url_env: The path in SHOP must begin.* {scheme}:///srv") as refused:
        check_url_of_files(connection, url)
    assert "secret" not in str(refused.value)
    check_url_of_files(connection, f"{scheme}:///exports")
    check_url_of_files(connection, "postgresql://me:secret@host/shop")


def test_check_query__database__needs_one_and_files_do_not() -> None:
    draft = replace(OF_DATABASE, query=None)
    with pytest.raises(ConfigurationError, match=r"query: This field is required with the connection 'shop'"):
        check_query(draft, Connection(key="shop", url_env="SHOP_DATABASE_URL"))
    check_query(draft, Connection(key="shop", url="duckdb:///exports/*.parquet"))


@pytest.mark.parametrize("draft", [OF_FILES, OF_DATABASE, OF_THE_PAST, replace(OF_FILES, mappings=(ORDERS, REFUNDS))])
def test_declared__stored_and_read__is_the_same(draft: SourceDraft) -> None:
    assert SourceDraft(**from_declared(to_declared(draft))) == draft


def test_declared__every_field__is_there_for_the_audit_log_under_its_name_in_the_manifest() -> None:
    declared = to_declared(OF_DATABASE)
    assert (declared["as"][0]["event"], declared["every"], declared["files"]) == (
        {"constant": "purchased"},
        "PT15M",
        None,
    )


@pytest.mark.parametrize(
    ("changes", "other"),
    [
        ({"every": None}, False),
        ({"upstream": ()}, False),
        ({"cursor": Cursor("loaded_at")}, False),
        ({"cursor": Cursor("updated_at", timedelta(hours=1))}, True),
        ({"mappings": (ORDERS, REFUNDS)}, True),
        ({"query": "select * from all_orders"}, True),
        ({"timezone": "UTC"}, True),
        ({"oldest": date(2015, 1, 1)}, True),
    ],
)
def test_makes_other_rows__only_what_rows_become_counts(changes: dict[str, Any], other: bool) -> None:
    assert makes_other_rows(OF_DATABASE, replace(OF_DATABASE, **changes)) is other


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("exports/*.csv", "/work/exports/*.csv"),
        ("/exports/*.csv", "/exports/*.csv"),
        ("duckdb://exports/*.csv", "duckdb:///work/exports/*.csv"),
        ("duckdb:///exports/*.csv", "duckdb:///exports/*.csv"),
    ],
)
def test_in_folder__relative_path__begins_at_the_folder(text: str, found: str) -> None:
    assert in_folder(text, Path("/work")) == found


def test_draft__one_mapping__is_read_as_a_list_of_one() -> None:
    one = {"identifier": "user_id", "timestamp": "created_at", "event": "purchased"}
    assert adapter(SourceDraft).validate_python({"as": one, "files": "a.csv"}).mappings == (ORDERS,)


def test_check_source__mappings_with_one_event_id__where_rows_supersede_others__are_refused__d7() -> None:
    mapped = [replace(each, event_id=FieldSource(column="order_no")) for each in (ORDERS, REFUNDS)]
    latest = replace(OF_DATABASE, rows=RowsKind.LATEST, mappings=tuple(mapped))
    message = "Must differ from those of the other mappings, such as 'refund-' || order_no in the query."
    assert errors_of("orders", latest) == {"as.1.event_id": [message]}
    check_source("orders", replace(latest, rows=RowsKind.APPEND))


def test_draft__of_identity_links__is_of_the_events_that_they_are__d6() -> None:
    mapping = {"anonymous": "device", "known": {"column": "customer"}}
    draft = adapter(SourceDraft).validate_python({"as": mapping, "files": "/accounts.csv"})
    assert draft.mappings == (
        RowMapping(
            identifier=FieldSource(column="device"),
            timestamp=FieldSource(constant="2020-01-01T00:00:00Z"),
            event=FieldSource(constant="$identity_link"),
            value=FieldSource(column="customer"),
        ),
    )
    check_source("accounts", draft)
    assert adapter(SourceDraft).validate_python({"as": to_declared(draft)["as"], "files": "/accounts.csv"}) == draft


@pytest.mark.parametrize("oldest", ["2015-01-01", date(2015, 1, 1)])
def test_draft__oldest_day__is_a_date_however_it_is_written(oldest: object) -> None:
    fields = {"as": {"identifier": "a", "timestamp": "b", "event": "c"}, "files": "a.csv", "oldest": oldest}
    assert adapter(SourceDraft).validate_python(fields).oldest == date(2015, 1, 1)


@pytest.mark.parametrize(
    "oldest",
    [
        "1969-12-31",
        "2020-01-02",
        "2015-02-30",
        "2015-1-1",
        "2015-01-01T00:00:00Z",
        2015,
        datetime(2015, 1, 1, tzinfo=UTC),
    ],
)
def test_draft__oldest_day_that_is_none__is_refused(oldest: object) -> None:
    fields = {"as": {"identifier": "a", "timestamp": "b", "event": "c"}, "files": "a.csv", "oldest": oldest}
    errors = FieldErrors()
    errors.validate(SourceDraft, fields)
    assert errors.errors == {"oldest": ["Must be a date from 1970-01-01 to 2020-01-01, such as 2015-01-01."]}
