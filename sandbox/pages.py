"""The page on which a person passes or fails the authentication of a payment."""

from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sandbox.chaos import ChaosMonkey
from sandbox.confirm import complete_authentication, fail_authentication
from sandbox.html import page, shown_amount
from sandbox.http import Request, Response
from sandbox.session import Session
from sandbox.store import Store, decode

Json = dict[str, Any]

PREFIX = "/_sandbox/authenticate/"
_STYLE = """
body { min-height: 100vh; display: grid; place-items: center; }
main { box-sizing: border-box; width: min(26rem, 92vw); padding: 2rem; border: 1px solid #8886; border-radius: .75rem; }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; }
p { margin: .5rem 0; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 1.25rem 0; }
dt { opacity: .75; }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
form { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
button { font: inherit; font-weight: 600; padding: .7rem; border-radius: .5rem; border: 1px solid #635bff; cursor: pointer; }
button:focus-visible { outline: 3px solid #635bff; outline-offset: 2px; }
.complete { background: #544bdd; color: #fff; }
.fail { background: transparent; color: inherit; }
.note { font-size: .875rem; opacity: .75; }
"""


class Pages:
    def __init__(self, store: Store, chaos: ChaosMonkey) -> None:
        self._store = store
        self._chaos = chaos

    def answer(self, request: Request) -> Response:
        intent_id, _, challenge = request.path.removeprefix(PREFIX).partition("/")
        rows = self._store.rows(
            "SELECT account, body, hidden FROM object WHERE id = ? AND kind = 'payment_intent'", intent_id
        )
        if not rows or not challenge:
            return _page(404, "No such payment", "<p>This link belongs to no payment of this sandbox.</p>")
        account, intent, hidden = rows[0][0], decode(rows[0][1]), decode(rows[0][2])
        if hidden.get("challenge") != challenge or intent["status"] != "requires_action":
            return _page(409, "Nothing to do here", f"<p>{_over(intent)}</p>")
        if request.method == "GET":
            return _page(200, "Confirm it is you", _form(intent))
        choice = dict(parse_qsl(request.body.decode("utf-8", "replace"))).get("result")
        if choice not in ("complete", "fail"):
            return _page(400, "Complete or fail?", _form(intent))
        with self._store.transaction():
            session = Session(
                self._store,
                account,
                int(self._chaos.clock.now()),
                self._chaos,
                base_url=request.base_url,
                request_id=None,
            )
            act = complete_authentication if choice == "complete" else fail_authentication
            after = act(session, intent)
        return _return(after, hidden.get("return_url"))


def _return(intent: Json, return_url: str | None) -> Response:
    succeeded = intent["status"] in ("succeeded", "requires_capture", "processing")
    if return_url is None:
        outcome = "The payment went through." if succeeded else "The payment failed."
        return _page(200, "Done", f"<p>{outcome} You can close this page.</p>")
    scheme, netloc, path, query, fragment = urlsplit(return_url)
    added = urlencode(
        {
            "payment_intent": intent["id"],
            "payment_intent_client_secret": intent["client_secret"],
            "redirect_status": "succeeded" if succeeded else "failed",
        }
    )
    location = urlunsplit((scheme, netloc, path, f"{query}&{added}" if query else added, fragment))
    return Response(303, content_type="text/html; charset=utf-8", headers={"Location": location})


def _over(intent: Json) -> str:
    return (
        f"This authentication is over; the payment's status is <strong>{escape(intent['status'])}</strong>."
    )


def _form(intent: Json) -> str:
    description = intent["description"] or "Test payment"
    return f"""
<p>The bank asks whether this payment is yours. This is a sandbox: no money moves.</p>
<dl>
<dt>Amount</dt><dd>{shown_amount(intent["amount"], intent["currency"])}</dd>
<dt>For</dt><dd>{escape(description)}</dd>
<dt>Payment</dt><dd>{escape(intent["id"])}</dd>
</dl>
<form method="post">
<button class="complete" name="result" value="complete">Complete</button>
<button class="fail" name="result" value="fail">Fail</button>
</form>
<p class="note">“Complete” proves the cardholder's identity, “Fail” refuses it.</p>"""


def _page(status: int, title: str, content: str) -> Response:
    return page(status, title, content, _STYLE)
