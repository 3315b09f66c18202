"""Signed statements verify by the published key, with another library, and are no bearer tokens."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adapters.security.keys import create_keys, rotate_keys
from adapters.security.snapshots import ORDER_TERMS, SnapshotSigner
from adapters.security.tokens import JwtVerifier, TokenProfile
from domain.shared.callers import TokenFault, TokenInvalid


class Statement(msgspec.Struct):
    amount: int
    currency: str


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def verified(jws: str, jwks: dict[str, Any]) -> Any:
    """By hand and the library `cryptography`: nothing of the code that signs."""
    header, payload, signature = jws.split(".")
    key_id = json.loads(decoded(header))["kid"]
    [key] = [key for key in jwks["keys"] if key["kid"] == key_id]
    public = Ed25519PublicKey.from_public_bytes(decoded(key["x"]))
    public.verify(decoded(signature), f"{header}.{payload}".encode())
    return json.loads(decoded(payload))


def test_a_statement_verifies_by_the_published_keys(tmp_path: Path) -> None:
    keys = create_keys(tmp_path / "keys.json")
    signed = SnapshotSigner(keys, ORDER_TERMS)(Statement(1000, "EUR"))
    assert json.loads(decoded(signed.split(".")[0])).keys() == {"alg", "kid", "typ"}
    rotated = rotate_keys(tmp_path / "keys.json")
    assert verified(signed, rotated.public_jwks()) == {"amount": 1000, "currency": "EUR"}


def test_a_changed_statement_does_not(tmp_path: Path) -> None:
    keys = create_keys(tmp_path / "keys.json")
    signer = SnapshotSigner(keys, ORDER_TERMS)
    header, _, signature = signer(Statement(1000, "EUR")).split(".")
    other = signer(Statement(1, "EUR")).split(".")[1]
    with pytest.raises(InvalidSignature):
        verified(f"{header}.{other}.{signature}", keys.public_jwks())


def test_a_statement_is_no_token(tmp_path: Path) -> None:
    keys = create_keys(tmp_path / "keys.json")
    verifier = JwtVerifier(
        [keys], TokenProfile(issuer="payonce", audience="payonce"), now=lambda: datetime.now(UTC)
    )
    with pytest.raises(TokenInvalid) as refused:
        verifier.verify(SnapshotSigner(keys, ORDER_TERMS)(Statement(1000, "EUR")))
    assert refused.value.reason is TokenFault.TYPE
