"""Signed statements: a JSON object as a compact JWS (RFC 7515), to be verified by our published keys."""

import msgspec
from joserfc import jws
from joserfc.registry import Header

from adapters.security.keys import KeyFile, algorithm_of
from adapters.security.tokens import ALLOWED_ALGORITHMS

ORDER_TERMS = "payonce-order-terms"
"""The `typ` of what may be paid for an order: it tells the statement from a token (RFC 8725, section 3.11)."""


class SnapshotSigner:
    """Signs with the newest of our keys."""

    def __init__(self, keys: KeyFile, type: str) -> None:
        self._keys = keys
        self._type = type

    def __call__(self, statement: msgspec.Struct) -> str:
        """The JWS over this statement's JSON."""
        key = self._keys.signing_key
        header: Header = {"alg": algorithm_of(key), "kid": key.kid, "typ": self._type}
        return jws.serialize_compact(header, msgspec.json.encode(statement), key, registry=ALLOWED_ALGORITHMS)
