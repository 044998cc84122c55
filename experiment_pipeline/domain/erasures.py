"""Erasures: identities whose records are to be nowhere, and how a record, or a text, is known to be of one (rule E6).

What was erased is remembered by a keyed hash with the moment, so that a sender's retry or a source's overlap does not
bring it back. Records that are dated from that moment on, and arrive after it, are of somebody who has come again.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import md5, sha256

from experiment_pipeline.domain.envelopes import decode_record
from experiment_pipeline.domain.events import EPOCH, LINK_EVENT, RFC_3339, Number, Unreadable

ERASED = "[erased]"  # in the place of an identifier in a text
LEAST_DISTINCTIVE = 8  # characters of an identifier that a text is searched for: a shorter one may be anything there
BLOCK = 64  # bytes, of SHA-256 in an HMAC


@dataclass(frozen=True, slots=True)
class Erasure:
    """The erasure of one identity in one environment.

    Attributes:
        digest: the identifier's keyed hash, in hexadecimal digits.
        erased_at: records that are dated before it, or arrived before it, are to be nowhere; UTC.
        completed_at: None while it is to be gone on with.
    """

    id: int
    environment_key: str
    digest: str
    erased_at: datetime
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ErasedIdentities:
    """Erased identities as ingestion asks for them.

    Attributes:
        key: of the hash.
        moments: of the newest erasure of each identity, by environment and digest.
    """

    key: bytes = b""
    moments: Mapping[tuple[str, str], datetime] = field(default_factory=dict)

    @property
    def pads(self) -> tuple[bytes, bytes]:
        """The inner and the outer block that HMAC makes of the key, for an engine that has SHA-256 alone."""
        padded = self.key.ljust(BLOCK, b"\0")
        return bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)


def digest_of(key: bytes, identifier: str) -> str:
    """Return the keyed hash of an identifier: HMAC-SHA256, in hexadecimal digits."""
    return hmac.new(key, identifier.encode(), sha256).hexdigest()


def identity_hash_of(identifier: str) -> int:
    """Return the 64-bit hash that artifacts know an identity by, as the lake computes it (docs/adr/0011)."""
    return int.from_bytes(md5(identifier.encode(), usedforsecurity=False).digest()[8:], "little") - (1 << 63)


@dataclass(frozen=True)
class ErasedIdentity:
    """One identity whose records are searched for.

    Attributes:
        identifier: of the identity.
        before: see `Erasure.erased_at`.
    """

    identifier: str
    before: datetime

    @cached_property
    def token(self) -> re.Pattern[str]:
        """The identifier where it stands as a word of its own."""
        return re.compile(rf"(?<![\w@.+-]){re.escape(self.identifier)}(?![\w@+-])")

    @property
    def is_distinctive(self) -> bool:
        """Whether a text that has nothing to do with the identity will hardly hold its identifier."""
        return len(self.identifier) >= LEAST_DISTINCTIVE

    def may_be_in(self, line: bytes) -> bool:
        """Return whether JSON text may hold the identifier, plainly or with escapes."""
        return self._plain in line or b"\\" in line

    def has_record(self, record: object, landed_at: datetime) -> bool:
        """Return whether a decoded record, good or bad, is one of the identity's that is to go.

        A link of identities is one of either end. Text that is not JSON is one where it names the identifier.
        """
        if isinstance(record, Unreadable):
            return landed_at < self.before and self.token.search(record.text) is not None
        if not isinstance(record, dict):
            return landed_at < self.before and _text(record) == self.identifier
        ends = {_text(record.get("identifier"))}
        if record.get("event") == LINK_EVENT:
            ends.add(_text(record.get("value")))
        return self.identifier in ends and (landed_at < self.before or self._is_dated_before(record.get("timestamp")))

    def has_stored(self, text: str, landed_at: datetime) -> bool:
        """Return whether the stored text of a rejected record is one of the identity's that is to go."""
        return self.has_record(decode_record(text), landed_at)

    @cached_property
    def _plain(self) -> bytes:
        return self.identifier.encode()

    def _is_dated_before(self, timestamp: object) -> bool:
        """Return whether a record's time, epoch milliseconds or RFC 3339, lies before the moment."""
        try:
            if isinstance(timestamp, Number):
                return int(timestamp) < (self.before - EPOCH).total_seconds() * 1000
            if isinstance(timestamp, str) and RFC_3339.fullmatch(timestamp):
                moment = datetime.fromisoformat(timestamp.upper().replace(" ", "T"))
                return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) < self.before
        except ValueError:
            return False
        return False


def redacted(value: object, identity: ErasedIdentity) -> object:
    """Return a JSON value without an identifier in its texts: an item of a list goes, another text says `ERASED`."""
    match value:
        case str():
            return identity.token.sub(ERASED, value)
        case list():
            return [redacted(item, identity) for item in value if item != identity.identifier]
        case dict():
            return {name: redacted(member, identity) for name, member in value.items()}
        case _:
            return value


def _text(value: object) -> str | None:
    """Return the text that a field's value is compared by; None for what is no identifier."""
    return {"-0": "0"}.get(value, str(value)) if isinstance(value, str) else None
