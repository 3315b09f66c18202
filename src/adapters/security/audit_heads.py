"""Signed heads of audit logs: that this entry of this log had this hash then, to be kept outside of the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from joserfc import jws
from joserfc.errors import JoseError

from adapters.security.keys import KeySource, algorithm_of
from adapters.security.tokens import ALLOWED_ALGORITHMS, MAX_TOKEN_BYTES
from domain.shared.callers import TokenInvalid

AUDIT_HEAD = "payonce-audit-head"
"""The `typ` of a signed head: it tells the statement from a token (RFC 8725, section 3.11)."""


class SignedHead(msgspec.Struct, frozen=True):
    service: str
    position: Annotated[int, msgspec.Meta(ge=1)]
    hash: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    at: datetime
    """When it was the last entry."""


class HeadInvalid(Exception):
    """This is no head of an audit log that one of the keys has signed; the message says why."""


def read_head(text: str, sources: Sequence[KeySource]) -> SignedHead:
    """The head in this compact JWS. Raises HeadInvalid."""
    try:
        if len(text) > MAX_TOKEN_BYTES:
            raise HeadInvalid("it is too long")
        parts = jws.extract_compact(text.encode("ascii"), registry=ALLOWED_ALGORITHMS)
        header = parts.headers()
        if not isinstance(header, dict) or header.get("typ") != AUDIT_HEAD or "crit" in header:
            raise HeadInvalid(f"it is not of the type {AUDIT_HEAD}")
        key = next((key for source in sources if (key := source.find(str(header.get("kid"))))), None)
        if key is None or algorithm_of(key) != header.get("alg"):
            raise HeadInvalid(f"its key {header.get('kid')!r} is none of ours")
        if not jws.validate_compact(parts, key, registry=ALLOWED_ALGORITHMS):
            raise HeadInvalid("its signature is wrong")
        return msgspec.json.decode(parts.payload or b"", type=SignedHead)
    except (JoseError, TokenInvalid, ValueError, TypeError, AttributeError, RecursionError) as error:
        # Besides its own errors, joserfc lets through those of a header that is no JSON object.
        raise HeadInvalid("it is no signed statement") from error
