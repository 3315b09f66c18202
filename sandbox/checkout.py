"""The payment page of a shop that has none: the customer pays an intent there by a test card, as with Stripe's own elements."""

from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sandbox.chaos import ChaosMonkey
from sandbox.errors import ApiError
from sandbox.html import page, shown_amount
from sandbox.http import Request, Response
from sandbox.intents import confirm_intent
from sandbox.session import Session
from sandbox.store import Store, decode

Json = dict[str, Any]

PATH = "/_sandbox/pay"
_CARDS = {
    "pm_card_visa": "Visa 4242, which pays",
    "pm_card_authenticationRequired": "Visa 3184, whose bank asks for a confirmation",
    "pm_card_chargeDeclinedInsufficientFunds": "Visa 9995, which has insufficient funds",
    "pm_card_chargeDeclined": "Visa 0002, which is declined",
}
_PAYABLE = ("requires_payment_method", "requires_confirmation")
_OVER = {
    "succeeded": "It is paid. Thank you.",
    "processing": "The bank is working on the payment.",
    "requires_capture": "The payment is authorized. Thank you.",
    "canceled": "This payment was canceled, and nothing can be paid any more.",
}
_STYLE = """
body { min-height: 100vh; display: grid; place-items: center; }
main { box-sizing: border-box; width: min(26rem, 92vw); padding: 2rem; border: 1px solid #8886; border-radius: .75rem; }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 1.25rem 0; }
dt { opacity: .75; }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
form, label { display: grid; gap: .75rem; }
select, button { font: inherit; padding: .7rem; border-radius: .5rem; border: 1px solid #635bff; }
button { font-weight: 600; cursor: pointer; background: #544bdd; color: #fff; }
:focus-visible { outline: 3px solid #635bff; outline-offset: 2px; }
[role=alert] { border-left: 4px solid #d33; padding-left: .75rem; }
"""


class Checkout:
    def __init__(self, store: Store, chaos: ChaosMonkey) -> None:
        self._store = store
        self._chaos = chaos

    def answer(self, request: Request) -> Response:
        """`?NAME=VALUE` names the newest intent that has this in its metadata."""
        query = parse_qsl(request.query.decode("latin-1"))[:1]  # what comes behind it was added by a redirect
        found = self._find(*query[0]) if query else None
        if found is None:
            return _page(404, "No such payment", "<p>There is no payment of this sandbox for that.</p>")
        account, intent = found
        if request.method == "GET":
            return _shown(intent)
        token = dict(parse_qsl(request.body.decode("utf-8", "replace"))).get("card", "")
        if token not in _CARDS:
            return _shown(intent, "Please choose a card.", status=400)
        return_url = f"{request.base_url}{PATH}?{urlencode(query)}"
        with self._store.transaction():
            session = Session(
                self._store, account, int(self._chaos.clock.now()), self._chaos, base_url=request.base_url
            )
            return self._pay(session, intent, token, return_url)

    def _find(self, name: str, value: str) -> tuple[str, Json] | None:
        rows = self._store.rows(
            "SELECT account, body FROM object, json_each(body, '$.metadata')"
            " WHERE kind = 'payment_intent' AND key = ? AND value = ? ORDER BY seq DESC LIMIT 1",
            name,
            value,
        )
        return (rows[0][0], decode(rows[0][1])) if rows else None

    def _pay(self, session: Session, intent: Json, token: str, return_url: str) -> Response:
        """A refusal leaves nothing behind, a decline its failed attempt."""
        params = {"payment_method": token, "return_url": return_url}
        try:
            with self._store.savepoint():
                try:
                    after = confirm_intent(session, params, intent["id"])
                except ApiError as declined:
                    if not declined.saves_work:
                        raise
                    return _shown(session.get("payment_intent", intent["id"]), str(declined), status=402)
        except ApiError as refused:
            return _shown(intent, str(refused), status=refused.status)
        location = _bank_page(after) or return_url
        return Response(303, content_type="text/html; charset=utf-8", headers={"Location": location})


def _bank_page(intent: Json) -> str | None:
    """Where the customer's bank asks, while it does."""
    action = intent["next_action"] or {}
    if action.get("type") == "redirect_to_url":
        return str(action["redirect_to_url"]["url"])
    if action.get("type") == "use_stripe_sdk":
        return str(action["use_stripe_sdk"]["stripe_js"])
    return None


def _shown(intent: Json, alert: str | None = None, *, status: int = 200) -> Response:
    if intent["status"] in _PAYABLE:
        options = "".join(f'<option value="{token}">{name}</option>' for token, name in _CARDS.items())
        action = (
            f'<form method="post"><label>Card<select name="card">{options}</select></label>'
            "<button>Pay</button></form><p>This is a sandbox: no money moves.</p>"
        )
    elif (url := _bank_page(intent)) is not None:
        action = (
            f'<p>The bank asks whether this payment is yours.</p><p><a href="{escape(url)}">Answer it</a></p>'
        )
    else:
        action = f"<p>{_OVER[intent['status']]}</p>"
    told = f'<p role="alert">{escape(alert)}</p>' if alert else ""
    details = (
        f"<dl><dt>Amount</dt><dd>{shown_amount(intent['amount'], intent['currency'])}</dd>"
        f"<dt>For</dt><dd>{escape(intent['description'] or 'Test payment')}</dd></dl>"
    )
    return _page(status, "Pay", told + details + action)


def _page(status: int, title: str, content: str) -> Response:
    return page(status, title, content, _STYLE)
