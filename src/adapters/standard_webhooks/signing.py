"""Signatures as Standard Webhooks has them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, whose own library
judges these lines in the tests. That one signs text, not the bytes that are sent, and takes a mistyped secret
for another key without a word.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

PREFIX = "whsec_"
SHORTEST_KEY, LONGEST_KEY = 24, 64
"""Bytes of a secret, as the specification has it."""


class SecretInvalid(ValueError):
    """A signing secret is `whsec_` and 24 to 64 bytes in base64."""


def key_of(secret: str) -> bytes:
    """The key in a secret. Raises SecretInvalid, whose message holds no part of it."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise SecretInvalid(
            f"a signing secret is {PREFIX} and {SHORTEST_KEY} to {LONGEST_KEY} bytes in base64"
        )
    return key


def headers_of(webhook_id: str, sent_at: datetime, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """What identifies, dates and signs a message; a signature for each secret. Raises SecretInvalid."""
    timestamp = str(int(sent_at.timestamp()))
    content = b".".join((webhook_id.encode(), timestamp.encode(), body))
    signatures = [
        "v1," + base64.b64encode(hmac.digest(key_of(secret), content, hashlib.sha256)).decode()
        for secret in secrets
    ]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }
