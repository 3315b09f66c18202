"""Randomness of the operating system."""

import base64
import secrets

SIGNING_KEY_BYTES = 32


def new_signing_secret() -> str:
    """`whsec_` and 32 random bytes in base64, as Standard Webhooks has them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SIGNING_KEY_BYTES)).decode()


def spread() -> float:
    """A random number from 0 to 1."""
    return secrets.SystemRandom().random()


def random_bytes(count: int) -> bytes:
    """For keys and nonces."""
    return secrets.token_bytes(count)
