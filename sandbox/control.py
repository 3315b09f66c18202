"""Scripting the sandbox: `/_sandbox/chaos`, `/clock`, `/disputes`, `/reset`, `/state`."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from sandbox.chaos import Chaos, ChaosMonkey
from sandbox.disputes import dispute_charge
from sandbox.http import Request, Response, json_response
from sandbox.later import run_due
from sandbox.session import Session
from sandbox.store import Store, decode, encode

Json = dict[str, Any]
_SOON_SECONDS = 1.0


class Advance(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The clock only goes ahead: objects are never younger than what caused them."""

    advance_seconds: Annotated[float, Meta(ge=0, le=10 * 365 * 86400)]


class OpenDispute(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The cardholder's bank disputes what a payment intent took; `inquiry` only asks about it."""

    payment_intent: str
    reason: Literal["fraudulent", "product_not_received"] = "fraudulent"
    inquiry: bool = False


class Reset(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`data` forgets every object, event and key as well."""

    data: bool = False


class Control:
    """`woken` is called after anything that changes what is due; `emptied` after the data was forgotten."""

    def __init__(
        self, store: Store, chaos: ChaosMonkey, woken: Callable[[], None], emptied: Callable[[], None]
    ) -> None:
        self._store = store
        self._chaos = chaos
        self._woken = woken
        self._emptied = emptied

    def answer(self, request: Request) -> Response:
        """Bad input gets 400 with the field's name in the message."""
        handler = {
            ("POST", "/_sandbox/chaos"): self._set_chaos,
            ("GET", "/_sandbox/chaos"): self._get_chaos,
            ("POST", "/_sandbox/clock"): self._advance,
            ("GET", "/_sandbox/clock"): self._get_clock,
            ("POST", "/_sandbox/disputes"): self._open_dispute,
            ("POST", "/_sandbox/reset"): self._reset,
            ("GET", "/_sandbox/state"): self._state,
        }.get((request.method, request.path))
        if handler is None:
            return json_response(
                404, {"error": {"message": f"No such call: {request.method} {request.path}"}}
            )
        try:
            return handler(request.body or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError) as refused:
            return json_response(400, {"error": {"type": "invalid_request_error", "message": str(refused)}})

    def _set_chaos(self, body: bytes) -> Response:
        chaos = msgspec.json.decode(body, type=Chaos)
        self._chaos.set(chaos)
        self._store.set_setting("chaos", encode(chaos))
        return json_response(200, chaos)

    def _get_chaos(self, body: bytes) -> Response:
        return json_response(200, self._chaos.chaos)

    def _advance(self, body: bytes) -> Response:
        advance = msgspec.json.decode(body, type=Advance)
        self._set_offset(self._chaos.clock.offset_seconds + advance.advance_seconds)
        run_due(self._store, self._chaos)
        self._woken()
        return self._get_clock(body)

    def _get_clock(self, body: bytes) -> Response:
        clock = self._chaos.clock
        return json_response(200, {"now": clock.now(), "offsetSeconds": clock.offset_seconds})

    def _set_offset(self, seconds: float) -> None:
        self._chaos.clock.offset_seconds = seconds
        self._store.set_setting("clock_offset_seconds", str(seconds))

    def _open_dispute(self, body: bytes) -> Response:
        wanted = msgspec.json.decode(body, type=OpenDispute)
        charges = self._store.rows(
            "SELECT account, body FROM object WHERE kind = 'charge' AND payment_intent = ?"
            " AND json_extract(body, '$.amount_captured') > 0 ORDER BY seq DESC LIMIT 1",
            wanted.payment_intent,
        )
        if not charges:
            message = f"{wanted.payment_intent} is no payment intent that took money."
            return json_response(400, {"error": {"type": "invalid_request_error", "message": message}})
        account, charge = charges[0]
        with self._store.transaction():
            session = Session(self._store, account, int(self._chaos.clock.now()), self._chaos)
            dispute = dispute_charge(session, decode(charge), reason=wanted.reason, inquiry=wanted.inquiry)
        self._woken()
        return json_response(200, dispute)

    def _reset(self, body: bytes) -> Response:
        reset = msgspec.json.decode(body, type=Reset)
        self._set_chaos(b"{}")
        self._store.shift_times(-self._chaos.clock.offset_seconds)
        self._set_offset(0.0)
        if reset.data:
            with self._store.transaction():
                self._store.forget_data()
            self._emptied()
        self._woken()
        return json_response(200, {"reset": True, "data": reset.data})

    def _state(self, body: bytes) -> Response:
        """What a checker compares with its own books: per account the counts and every payment's money."""
        accounts: dict[str, Json] = {}
        for account, kind, count in self._store.rows(
            "SELECT account, kind, count(*) FROM object GROUP BY account, kind"
        ):
            one = accounts.setdefault(account, {"counts": {}, "paymentIntents": []})
            one["counts"][kind] = count
        for account, *values in self._store.rows(_MONEY):
            names = ("id", "status", "currency", "amount", "captured", "refunded", "metadata")
            intent = dict(zip(names, values, strict=True))
            intent["metadata"] = msgspec.json.decode(intent["metadata"])
            accounts[account]["paymentIntents"].append(intent)
        pending = self._store.rows("SELECT count(*) FROM delivery")[0][0]
        # Those that failed wait for their next attempt, up to hours by the sandbox's clock.
        soon = self._chaos.clock.now() + _SOON_SECONDS
        due = self._store.rows("SELECT count(*) FROM delivery WHERE due <= ?", soon)[0][0]
        state = {"accounts": accounts, "pendingDeliveries": pending, "dueDeliveries": due}
        return json_response(200, state)


_MONEY = """
SELECT intent.account, intent.id, json_extract(intent.body, '$.status'), json_extract(intent.body, '$.currency'),
    json_extract(intent.body, '$.amount'), json_extract(intent.body, '$.amount_received'),
    coalesce((SELECT sum(json_extract(refund.body, '$.amount')) FROM object AS refund
              WHERE refund.payment_intent = intent.id AND refund.kind = 'refund'
              AND json_extract(refund.body, '$.status') NOT IN ('failed', 'canceled')), 0),
    json_extract(intent.body, '$.metadata')
FROM object AS intent WHERE intent.kind = 'payment_intent' ORDER BY intent.seq
"""
