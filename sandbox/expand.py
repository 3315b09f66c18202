"""`expand[]`: ids replaced by what they name. Source: https://docs.stripe.com/api/expanding_objects."""

from typing import Any

from sandbox.errors import ApiError
from sandbox.session import Session

Json = dict[str, Any]

_KINDS = {
    "balance_transaction": "balance_transaction",
    "charge": "charge",
    "customer": "customer",
    "failure_balance_transaction": "balance_transaction",
    "latest_charge": "charge",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
}
_MAX_DEPTH = 4
_MAX_PATHS = 20


def expand(session: Session, body: Json, paths: list[str]) -> Json:
    """Raises ApiError 400 for what cannot be expanded."""
    if len(paths) > _MAX_PATHS:
        raise ApiError(f"You may expand at most {_MAX_PATHS} properties.", param="expand")
    for path in paths:
        parts = path.split(".")
        if len(parts) > _MAX_DEPTH:
            raise ApiError(f"You cannot expand more than {_MAX_DEPTH} levels of a property.", param="expand")
        _expand(session, body, parts, path)
    return body


def _expand(session: Session, body: Json, parts: list[str], path: str) -> None:
    name, rest = parts[0], parts[1:]
    if name == "data" and rest and body.get("object") in ("list", "search_result"):
        for element in body["data"]:
            _expand(session, element, rest, path)
        return
    if name == "refunds" and body.get("object") == "charge":
        body["refunds"] = _refunds(session, body)
        return
    if name == "source" and body.get("object") == "balance_transaction":
        body["source"] = _source(session, body["source"])
    elif name not in _KINDS or name not in body:
        raise ApiError(f"This property cannot be expanded ({path}).", param="expand")
    elif isinstance(body[name], str):
        body[name] = session.find(_KINDS[name], body[name])
    if rest and isinstance(body[name], dict):
        _expand(session, body[name], rest, path)


def _refunds(session: Session, charge: Json) -> Json:
    refunds = session.children("refund", "charge", charge["id"])
    refunds.reverse()
    url = f"/v1/charges/{charge['id']}/refunds"
    return {"object": "list", "data": refunds[:10], "has_more": len(refunds) > 10, "url": url}


def _source(session: Session, source_id: str) -> Json | None:
    kinds = {"ch": "charge", "re": "refund", "du": "dispute", "po": "payout"}
    return session.find(kinds[source_id.split("_")[0]], source_id)
