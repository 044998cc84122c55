"""Signatures of webhooks, as the Standard Webhooks specification 1.0 has them (https://www.standardwebhooks.com).

Receivers verify them with a library of that specification, or with the lines of docs/notifications.md.
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime


def signed_headers(message_id: str, attempted_at: datetime, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """Return the headers that identify and sign a message.

    The signature is HMAC-SHA256 over `<id>.<timestamp>.<body>`, in base64 behind `v1,`; one of each key. The id is the
    `Idempotency-Key` as well, and so that is signed; it is the same in every attempt, and the timestamp is not.

    Args:
        message_id: of the notification.
        attempted_at: the moment of sending, UTC; receivers refuse an old one.
        body: as it is sent.
        keys: at least one.
    """
    timestamp = str(int(attempted_at.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        "Idempotency-Key": message_id,
    }
