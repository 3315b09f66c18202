"""Stripe's payment methods, as decoded JSON, read into the port's."""

from collections.abc import Mapping
from typing import Any, TypeVar

from adapters.stripe.snapshots import Unreadable, timestamp
from domain.payments.saved_method import MethodPage, SavedMethod

_Value = TypeVar("_Value")


def method_page(answer: Mapping[str, Any]) -> MethodPage:
    """A list of payment methods. Raises Unreadable."""
    listed, more = answer.get("data"), answer.get("has_more")
    if not isinstance(listed, list) or not isinstance(more, bool):
        raise Unreadable("not a list")
    return MethodPage([saved_method(part) for part in listed], more)


def saved_method(method: Mapping[str, Any]) -> SavedMethod:
    """Raises Unreadable."""
    if not isinstance(method, Mapping) or method.get("object") != "payment_method":
        raise Unreadable("not a payment_method")
    token, kind = method.get("id"), method.get("type")
    if not isinstance(token, str) or not isinstance(kind, str):
        raise Unreadable("a payment method without id or type")
    details = method.get(kind)
    shown = details if isinstance(details, Mapping) else {}
    return SavedMethod(
        token=token,
        type=kind,
        created_at=timestamp(method.get("created")),
        brand=_of_type(str, shown, "brand"),
        last4=_of_type(str, shown, "last4"),
        exp_month=_of_type(int, shown, "exp_month"),
        exp_year=_of_type(int, shown, "exp_year"),
    )


def _of_type(kind: type[_Value], details: Mapping[str, Any], name: str) -> _Value | None:
    """What of it may be shown; each type of method has other details, and most of them none of these."""
    value = details.get(name)
    return value if isinstance(value, kind) else None
