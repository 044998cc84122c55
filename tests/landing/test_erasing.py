"""Erasing an identity's records from landing objects (rule E6)."""

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from experiment_pipeline.domain.batches import LandedObject
from experiment_pipeline.domain.erasures import ErasedIdentity
from experiment_pipeline.landing.erasing import Erased, erase_from_object, search_object
from experiment_pipeline.landing.landing_zone import landed_objects
from tests.lake.ledger import land, record

ADA = ErasedIdentity("ada", datetime(2026, 3, 1, 12, tzinfo=UTC))
LONG = record(identifier="bob", value="x" * 65_000, traits={"more": "y" * 2_000})
SPACED = (
    '{ "events" : [ {"identifier":"ada","n":1} , {"identifier":"bob","n":1.50}, {"identifier": "eve", "x": NaN} ] }'
)


def only_object(landing: Path) -> LandedObject:
    (found,) = landed_objects(landing)
    return found


def erase(landing: Path) -> list[int]:
    """Erase, and return the sizes that were told before the object was replaced."""
    sizes: list[int] = []
    erase_from_object(landing, only_object(landing), ADA, sizes.append)
    return sizes


def test_lines__of_the_identity__are_blank_and_others_keep_their_bytes_and_numbers(tmp_path: Path) -> None:
    kept = [
        json.dumps(LONG),
        "",
        '{"identifier":  "bob", "value": 1.50}',
        '{ broken "adam"',
        "\ufeff" + json.dumps(LONG),
    ]
    erased = [json.dumps(record()), '{"identifier": "\\u0061da"}', '{ broken "ada"']
    lines = [kept[0], erased[0], kept[1], kept[2], erased[1], erased[2], kept[3], kept[4]]
    path = land(tmp_path, lines)
    os.utime(path, ns=(1_772_000_000_123_456_789, 1_772_000_000_123_456_789))
    before = path.stat()
    assert search_object(tmp_path, only_object(tmp_path), ADA) == Erased(3)
    assert erase(tmp_path) == [path.stat().st_size]
    assert path.read_text("utf-8").split("\n") == [kept[0], "", kept[1], kept[2], "", "", kept[3], kept[4], ""]
    assert search_object(tmp_path, only_object(tmp_path), ADA) == Erased(0)
    assert (path.stat().st_mtime_ns, path.stat().st_mode) == (before.st_mtime_ns, before.st_mode)


def test_envelope__loses_the_record_alone(tmp_path: Path) -> None:
    path = land(tmp_path, [SPACED])
    assert search_object(tmp_path, only_object(tmp_path), ADA) == Erased(1)
    erase(tmp_path)
    assert path.read_text() == '{ "events" : [ {"identifier":"bob","n":1.50}, {"identifier": "eve", "x": NaN} ] }\n'


def test_envelope__that_breaks_off__loses_the_record_alone(tmp_path: Path) -> None:
    path = land(tmp_path, ['{"events": [{"identifier": "ada"}, {"identifier": "bob"}, {"identifier": "e'])
    erase(tmp_path)
    assert path.read_text() == '{"events": [ {"identifier": "bob"}, {"identifier": "e\n'


def test_gzip__of_several_members__stays_compressed(tmp_path: Path) -> None:
    first, second = (gzip.compress(f"{json.dumps(each)}\n".encode()) for each in (record(), LONG))
    path = land(tmp_path, first + second, "a.jsonl.gz")
    assert search_object(tmp_path, only_object(tmp_path), ADA) == Erased(1)
    erase(tmp_path)
    assert gzip.decompress(path.read_bytes()).decode() == f"\n{json.dumps(LONG)}\n"


def test_gzip__truncated__is_searched_in_part(tmp_path: Path) -> None:
    lines = "".join(f"{json.dumps(record(value=str(number)))}\n" for number in range(1_000))
    land(tmp_path, gzip.compress(lines.encode())[:-1_000], "a.jsonl.gz")
    assert not search_object(tmp_path, only_object(tmp_path), ADA).is_searched


def test_parquet__loses_its_rows_and_keeps_the_others_and_their_columns(tmp_path: Path) -> None:
    rows = [record(identifier=who, value=number) for number, who in enumerate(["ada", "bob", "ada", "eve"])]
    path = land(tmp_path, b"", "a.parquet")
    frame = pl.DataFrame(rows).with_columns(source_cursor=pl.lit(7))
    frame.write_parquet(path)
    assert search_object(tmp_path, only_object(tmp_path), ADA) == Erased(2)
    erase(tmp_path)
    assert pl.read_parquet(path).equals(frame.filter(pl.col("identifier") != "ada"))


def test_parquet__damaged__is_not_searched(tmp_path: Path) -> None:
    land(tmp_path, b"PAR1 no Parquet file ada", "a.parquet")
    assert search_object(tmp_path, only_object(tmp_path), ADA) == Erased(0, is_searched=False)


def test_document__that_is_refused_as_a_whole__is_emptied(tmp_path: Path) -> None:
    path = land(tmp_path, json.dumps([record(), record(identifier="bob")], indent=1).encode())
    assert search_object(tmp_path, only_object(tmp_path), ADA) == Erased(1)
    erase(tmp_path)
    assert path.read_bytes() == b""
