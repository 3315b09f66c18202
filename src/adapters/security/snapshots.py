"""Signed statements: a JSON object as a compact JWS (RFC 7515), to be verified by our published keys."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec
from joserfc import jws
from joserfc.registry import Header

from adapters.security.issuers import RemoteKeys
from adapters.security.keys import KeyFile, KeySource, algorithm_of
from adapters.security.tokens import ALLOWED_ALGORITHMS, MAX_SKEW_SECONDS, JwsVerifier, unverified
from domain.payments.errors import OrderSnapshotInvalid, OrdersUnavailable
from domain.payments.ports import OrderTerms
from domain.shared.callers import TokenFault, TokenInvalid

ORDER_TERMS = "payonce-order-terms"
"""The `typ` of what may be paid for an order: it tells the statement from a token (RFC 8725, section 3.11)."""
LIFETIME_SECONDS = 120
"""How long terms are good for: time to begin a payment, and no longer, for the order may change meanwhile."""
LONGEST_SECONDS = 600
"""How long the terms of any order system may be good for."""


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


class Terms(Protocol):
    """What may be paid for an order."""

    @property
    def order_id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def amount(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def payable(self) -> bool: ...


class _Statement(msgspec.Struct, rename="camel"):
    order_id: str
    version: int
    amount: int
    currency: str
    payable: bool
    iat: float
    exp: float


class OrderTermsSigner:
    """Signs what may be paid for an order, for a short while from now."""

    def __init__(self, keys: KeyFile, now: Callable[[], datetime]) -> None:
        self._sign = SnapshotSigner(keys, ORDER_TERMS)
        self._now = now

    def __call__(self, terms: Terms) -> str:
        issued = int(self._now().timestamp())
        return self._sign(
            _Statement(
                order_id=terms.order_id,
                version=terms.version,
                amount=terms.amount,
                currency=terms.currency,
                payable=terms.payable,
                iat=issued,
                exp=issued + LIFETIME_SECONDS,
            )
        )


class OrderTermsReader:
    """Reads what the order side has signed; `keys` are its own, in a file here or fetched from it."""

    def __init__(self, keys: KeySource, now: Callable[[], datetime]) -> None:
        self._keys = keys
        self._signatures = JwsVerifier([keys], (ORDER_TERMS,))
        self._now = now

    async def __call__(self, snapshot: str) -> OrderTerms:
        """Raises OrderSnapshotInvalid, and OrdersUnavailable where the order side's keys cannot be had."""
        if isinstance(self._keys, RemoteKeys) and (key_id := unverified(snapshot).key_id) is not None:
            await self._keys.prepare(key_id)
            if not self._keys.are_there:
                raise OrdersUnavailable
        try:
            _, payload = self._signatures.payload(snapshot)
        except TokenInvalid as error:
            raise _invalid(error.reason) from error
        try:
            statement = msgspec.json.decode(payload, type=_Statement)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _invalid(TokenFault.CLAIMS) from error
        now = self._now().timestamp()
        if statement.exp <= now - MAX_SKEW_SECONDS:
            raise _invalid(TokenFault.EXPIRED)
        if statement.iat > now + MAX_SKEW_SECONDS:
            raise _invalid(TokenFault.NOT_YET_VALID)
        if statement.exp - statement.iat > LONGEST_SECONDS:
            raise _invalid(TokenFault.LIFETIME)
        return OrderTerms(
            order_id=statement.order_id,
            version=statement.version,
            amount=statement.amount,
            currency=statement.currency,
            payable=statement.payable,
        )


def _invalid(fault: TokenFault) -> OrderSnapshotInvalid:
    return OrderSnapshotInvalid(f"The order's signed terms are refused: {fault}.", pointer="/orderSnapshot")
