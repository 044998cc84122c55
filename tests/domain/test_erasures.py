"""Which records and texts are of an erased identity (rule E6)."""

import hmac
from datetime import UTC, datetime
from hashlib import sha256

import duckdb
import pytest

from experiment_pipeline.domain.envelopes import decode_record
from experiment_pipeline.domain.erasures import (
    ErasedIdentities,
    ErasedIdentity,
    digest_of,
    identity_hash_of,
    redacted,
)

BEFORE = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER, LATER = datetime(2026, 3, 1, 11, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC)
ADA = ErasedIdentity("ada", BEFORE)


@pytest.mark.parametrize(
    ("text", "landed_at", "is_erased"),
    [
        ('{"event": "a", "identifier": "ada", "timestamp": "2026-03-02T00:00:00Z"}', EARLIER, True),
        ('{"event": "a", "identifier": "ada", "timestamp": "2026-03-01T11:59:59.999Z"}', LATER, True),
        ('{"event": "a", "identifier": "ada", "timestamp": "2026-03-01T13:30:00+02:00"}', LATER, True),
        ('{"event": "a", "identifier": "ada", "timestamp": 1772366399999}', LATER, True),
        ('{"event": "a", "identifier": "ada", "timestamp": 1772366400000}', LATER, False),
        ('{"event": "a", "identifier": "ada", "timestamp": "2026-03-01T12:00:00Z"}', LATER, False),
        ('{"event": "a", "identifier": "ada", "timestamp": "no time"}', LATER, False),
        ('{"event": "a", "identifier": "\\u0061da"}', EARLIER, True),
        ('{"event": "a", "identifier": "adam", "traits": {"friend": "ada"}}', EARLIER, False),
        ('{"event": "$identity_link", "identifier": "device", "value": "ada"}', EARLIER, True),
        ('{"event": "a", "identifier": "device", "value": "ada"}', EARLIER, False),
        ('{"event": "a", "identifier": "ada", "value": NaN}', EARLIER, True),
        ('{"event": "a", "identifier": "adam", "value": NaN}', EARLIER, False),
        ('{"event": "a", "identifier": "ada", "value": NaN}', LATER, False),
        ('"ada"', EARLIER, True),
    ],
)
def test_record__of_either_time__is_erased_when_it_is_dated_or_landed_before(
    text: str, landed_at: datetime, is_erased: bool
) -> None:
    assert ADA.has_record(decode_record(text), landed_at) is is_erased
    assert not is_erased or ADA.may_be_in(text.encode())


def test_record__integer_identifier__is_its_decimal_text() -> None:
    assert ErasedIdentity("42", BEFORE).has_record(decode_record('{"identifier": 42}'), EARLIER)
    assert ErasedIdentity("0", BEFORE).has_record(decode_record('{"identifier": -0}'), EARLIER)
    assert not ErasedIdentity("42", BEFORE).has_record(decode_record('{"identifier": 420}'), EARLIER)


def test_digest__is_an_hmac__as_the_engine_computes_it_of_the_pads() -> None:
    key, identifier = b"k" * 32, "adé"
    expected = hmac.new(key, identifier.encode(), sha256).hexdigest()
    inner, outer = ErasedIdentities(key).pads
    bound = {"inner": inner, "outer": outer, "text": identifier}
    statement = "select sha256($outer::blob || unhex(sha256($inner::blob || encode($text))))"
    with duckdb.connect() as connection:
        assert connection.execute(statement, bound).fetchone() == (expected,)
    assert digest_of(key, identifier) == expected != digest_of(b"another", identifier)


def test_identity_hash__is_the_one_of_the_lake() -> None:
    statement = "select ((md5_number('adé') >> 64)::hugeint - 9223372036854775808)::bigint"
    with duckdb.connect() as connection:
        assert connection.execute(statement).fetchone() == (identity_hash_of("adé"),)


def test_redacted__words_and_items__go_and_numbers_and_names_stay() -> None:
    value = {"ada": ["ada", "adam", 1], "text": "who: ada.", "n": 4.5}
    assert redacted(value, ADA) == {"ada": ["adam", 1], "text": "who: [erased].", "n": 4.5}
