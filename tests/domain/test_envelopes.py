"""Envelopes: whatever is wrong with one record, its neighbours are read as if it were not there (rule E3)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_pipeline.domain.envelopes import NOT_UTF_8, decode_record, open_envelope, text_of
from experiment_pipeline.domain.events import Unreadable

GOOD = '{"event": "purchased", "identifier": "ann, [\\"bob\\"] {cid}", "value": 12.50}'
BAD_RECORDS = [
    "NaN",
    '{"value": -Infinity}',
    '{"metadata": {"discount": NaN}}',
    '{"value": undefined}',
    "{'single': 'quotes'}",
    '{"value": 01}',
    '{"value": 1.}',
    '{"identifier": "a\tb"}',
    '{"identifier": "a\x00b"}',
    '{"identifier": "\\x41"}',
    '{"identifier": "a",}',
    '{"identifier" "a"}',
    "{1: 2}",
    '"a" "b"',
    "",
    "[" * 100_000 + "]" * 100_000,
    text_of(b'{"identifier": "caf\xe9"}'),
    text_of(b"\xff"),
]


def shown(record: str) -> str:
    return repr(record[:30])


@pytest.mark.parametrize("bad", BAD_RECORDS, ids=shown)
def test_open_envelope__one_bad_record__costs_its_neighbours_nothing__e3(bad: str) -> None:
    text = f'{{"sent_at": 1, "events": [{GOOD}, {bad},\n{GOOD}], "sdk": "[{{"}}'
    assert open_envelope(text) == [decode_record(GOOD), Unreadable(bad), decode_record(GOOD)]


@pytest.mark.parametrize("member", ['"sent_at": NaN', '"note": "a\tb"', '"\\x": [1, {}]', '"events": [2]'])
def test_open_envelope__another_member_is_no_json__every_record_counts(member: str) -> None:
    expected = [decode_record(GOOD)]
    assert open_envelope(f'{{"events": [{GOOD}], "bad": NaN, {member}}}') == expected
    if not member.startswith('"events"'):
        assert open_envelope(f'{{{member}, "events": [{GOOD}]}}') == expected
        assert open_envelope(f'{{{member}, "events": [ ]}}') == []


@pytest.mark.parametrize(
    ("rest", "lost"),
    [
        (", ", ""),
        (', {"event": "pur', '{"event": "pur'),
        (', {"value": [1}, 2]}', '{"value": [1}, 2]}'),
        (', {"value": "a"b"}, 2]}', '{"value": "a"b"}, 2]}'),
        ('], "sent_at": ', ', "sent_at":'),
        ("]] }", "] }"),
        ("] oops }", "oops }"),
        ('] } {"events": [2]}', '} {"events": [2]}'),
    ],
)
def test_open_envelope__that_breaks_off__keeps_what_came_before_and_names_the_rest(rest: str, lost: str) -> None:
    assert open_envelope(f'{{"events": [{GOOD}{rest}') == [decode_record(GOOD), Unreadable(lost)]


@pytest.mark.parametrize("rest", ["", " ", "]", "] "])
def test_open_envelope__that_only_misses_its_end__has_lost_nothing(rest: str) -> None:
    assert open_envelope(f'{{"events": [{GOOD}, {GOOD}{rest}') == [decode_record(GOOD)] * 2


def test_open_envelope__after_a_byte_order_mark__is_opened() -> None:
    assert open_envelope(f'\ufeff {{"events": [{GOOD}]}}') == [decode_record(GOOD)]


@pytest.mark.parametrize(
    "text",
    [
        "", "NaN", "[NaN]", '{"event": NaN}', '{"events": NaN}', '{"events": {"a": NaN}}', '{"x": "events", "a": NaN}',
        '{"events": [NaN], "event": "x"}', '{"event": "x", "events": [NaN]}', '{"events": 1, "events": [NaN]}',
        '{"other": {"events": [NaN]}}', '{"other": "events: [NaN', '["events", [NaN]]',
    ],
)  # fmt: skip
def test_open_envelope__of_anything_else__is_none(text: str) -> None:
    assert open_envelope(text) is None


def test_open_envelope__of_more_records_than_wanted__stops_behind_them() -> None:
    assert open_envelope('{"events": [' + "NaN," * 1_000, most=3) == [Unreadable("NaN")] * 4


def test_open_envelope__of_more_members_than_any_client_sends__names_what_it_has_not_looked_at() -> None:
    others = '"a": 1, ' * 1_000
    assert open_envelope(f'{{"events": [{GOOD}, NaN], {others}"b": 1}}') == [
        decode_record(GOOD), Unreadable("NaN"), Unreadable(f', {others}"b": 1}}')
    ]  # fmt: skip
    assert open_envelope(f'{{{others}"events": [NaN]}}') is None


def test_decode_record__keeps_a_bad_ones_text() -> None:
    assert decode_record(" {1} ") == Unreadable("{1}")
    assert text_of(b"\xff\xfea\xc3\xa9") == f"{NOT_UTF_8}aé"


ODD = st.sampled_from(['"', "\\", "[", "]", "{", "}", ",", ":", "NaN", "1", " ", '"events"', '"event"', "\n", "é"])
RECORDS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(before=st.lists(RECORDS, max_size=3), after=st.lists(RECORDS, max_size=3), indent=st.sampled_from([None, 1]))
def test_open_envelope__around_a_nan__reads_records_as_a_decoder_does(
    before: list[Any], after: list[Any], indent: int | None
) -> None:
    texts = [json.dumps(record, indent=indent) for record in before]
    rest = [json.dumps(record, indent=indent) for record in after]
    text = '{"events": [' + ",".join([*texts, '{"a": NaN}', *rest]) + "]}"
    found = open_envelope(text)
    assert found is not None
    assert found == [*map(decode_record, texts), Unreadable('{"a": NaN}'), *map(decode_record, rest)]


@settings(max_examples=300, deadline=None)
@given(st.lists(ODD, max_size=25).map("".join), st.lists(ODD, max_size=25).map("".join))
def test_open_envelope__of_any_text__ends_and_keeps_what_stands_first(first: str, rest: str) -> None:
    open_envelope(first + rest)
    found = open_envelope(f'{{"events": [{GOOD}, NaN, {rest}')
    assert found is None or found[:2] == [decode_record(GOOD), Unreadable("NaN")]
