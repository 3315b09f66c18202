"""The balance and its payouts. Source: https://docs.stripe.com/payouts and /api/balance.

What becomes available is paid out at the next midnight (UTC) by itself, each currency apart, and arrives a
day later; `POST /v1/payouts` pays out a part of what is available at once.
"""

from typing import Any

from sandbox import shapes
from sandbox.errors import ApiError
from sandbox.listing import list_objects
from sandbox.money import check_currency
from sandbox.session import Session, merge_metadata

Json = dict[str, Any]

DAY = 86400
_OF_ACCOUNT = "FROM object WHERE account = ? AND kind = 'balance_transaction'"
_AVAILABLE = "json_extract(body, '$.available_on') <= ?"


def plan_payout(session: Session, transaction: Json) -> None:
    """Have what this transaction brings paid out, with all of its currency that is available by then."""
    midnight = (transaction["available_on"] // DAY + 1) * DAY
    session.later_once(midnight, "pay_out", f"{transaction['currency']}:{midnight}")


def pay_out(session: Session, name: str) -> None:
    """An automatic payout; what is owed to the gateway stays, and the next one is less by it."""
    currency = name.partition(":")[0]
    unpaid = (
        f"{_OF_ACCOUNT} AND json_extract(body, '$.currency') = ? AND {_AVAILABLE}"
        " AND json_extract(hidden, '$.payout') IS NULL"
    )
    values = (session.account, currency, session.now)
    amount = session.store.rows(f"SELECT coalesce(sum(json_extract(body, '$.net')), 0) {unpaid}", *values)[0][
        0
    ]
    if amount <= 0:
        return
    payout = _make(session, amount, currency, automatic=True)
    session.store.run(
        f"UPDATE object SET hidden = json_set(hidden, '$.payout', ?) WHERE id IN (SELECT id {unpaid})",
        payout["id"],
        *values,
    )


def _make(session: Session, amount: int, currency: str, *, automatic: bool, **given: Any) -> Json:
    payout_id = session.new_id("payout")
    transaction = shapes.balance_transaction(
        session.new_id("balance_transaction"),
        session.now,
        amount=-amount,
        fee=0,
        currency=currency,
        source=payout_id,
        type="payout",
    )
    transaction |= {"available_on": session.now, "description": "STRIPE PAYOUT"}
    session.insert(transaction)
    payout = shapes.payout(payout_id, session.now, amount, currency, transaction["id"], automatic=automatic)
    payout |= given
    session.insert(payout)
    session.emit("payout.created", payout)
    session.later(DAY, "payout_arrives", payout_id)
    return payout


def arrive(session: Session, payout_id: str) -> None:
    before = session.get("payout", payout_id)
    after = session.save({**before, "status": "paid"})
    session.emit("payout.paid", after, before=before)


def create_payout(session: Session, params: Json) -> Json:
    currency, amount = check_currency(params["currency"]), params["amount"]
    if amount < 1:
        raise ApiError(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    available = {part["currency"]: part["amount"] for part in retrieve_balance(session, {})["available"]}
    if amount > available.get(currency, 0):
        raise ApiError(
            "You have insufficient funds in your Stripe account for this transfer. Your card balance is too low.",
            code="balance_insufficient",
            param="amount",
        )
    given: Json = {name: params[name] for name in ("description", "statement_descriptor") if name in params}
    given["metadata"] = merge_metadata({}, params.get("metadata"))
    return _make(session, amount, currency, automatic=False, **given)


def retrieve_payout(session: Session, params: Json, payout_id: str) -> Json:
    return session.get("payout", payout_id)


def list_payouts(session: Session, params: Json) -> Json:
    return list_objects(session, "payout", "/v1/payouts", params, ("status",))


def retrieve_balance(session: Session, params: Json) -> Json:
    sums = session.store.rows(
        f"SELECT json_extract(body, '$.currency'), {_AVAILABLE}, sum(json_extract(body, '$.net'))"
        f" {_OF_ACCOUNT} GROUP BY 1, 2 ORDER BY 1",
        session.now,
        session.account,
    )
    found = {(currency, bool(available)): net for currency, available, net in sums}
    currencies = sorted({currency for currency, _ in found}) or ["usd"]
    return shapes.balance(
        available={currency: found.get((currency, True), 0) for currency in currencies},
        pending={currency: found.get((currency, False), 0) for currency in currencies},
    )


def retrieve_transaction(session: Session, params: Json, transaction_id: str) -> Json:
    return _with_status(session, session.get("balance_transaction", transaction_id))


def list_transactions(session: Session, params: Json) -> Json:
    """Of a payout those that it is made of, and its own; a manual payout is made of none in particular."""
    if "payout" in params:
        payout = session.get("payout", params["payout"], "payout")
        if not payout["automatic"]:
            raise ApiError(
                "Balance transaction history can only be filtered on automatic transfers, not manual.",
                param="payout",
            )
    filters = ("source", "type", "currency", "payout")
    page = list_objects(session, "balance_transaction", "/v1/balance_transactions", params, filters)
    return {**page, "data": [_with_status(session, one) for one in page["data"]]}


def _with_status(session: Session, transaction: Json) -> Json:
    available = transaction["available_on"] <= session.now
    return {**transaction, "status": "available" if available else "pending"}
