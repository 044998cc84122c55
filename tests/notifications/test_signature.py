"""Signatures: by the published example of the Standard Webhooks specification, and one of each key."""

import base64
from datetime import UTC, datetime

from experiment_pipeline.notifications.signature import signed_headers

# The example of the specification's reference implementations (standard-webhooks/standard-webhooks, libraries/*).
SECRET, MESSAGE = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY, AT = b'{"test": 2432232314}', datetime.fromtimestamp(1_614_265_330, UTC)
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_signed_headers__of_the_published_example__are_its_own() -> None:
    headers = signed_headers(MESSAGE, AT, BODY, [base64.b64decode(SECRET)])
    assert headers == {
        "webhook-id": MESSAGE,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
        "Idempotency-Key": MESSAGE,
    }


def test_signed_headers__while_keys_are_exchanged__have_a_signature_of_each() -> None:
    headers = signed_headers(MESSAGE, AT, BODY, [bytes(32), base64.b64decode(SECRET)])
    first, second = headers["webhook-signature"].split(" ")
    assert first != second == SIGNATURE
