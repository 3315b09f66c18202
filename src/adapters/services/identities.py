"""Who the services are to one another: the names they sign by, and what each lets the other do."""

from dataclasses import replace

from domain.orders.attempt import Attempt
from domain.shared.callers import ORDER_SERVICE, Caller

DELIVERY = "events:deliver"
"""The scope of comparing and handing over events; nobody but a service has it."""

ORDERS = Caller(
    subject=ORDER_SERVICE,
    scopes=frozenset({"payments:read", "payments:write", "refunds:create", "users:any"}),
    issuer=ORDER_SERVICE,
)
"""The order service, as the payment service knows it. Whose order it is was decided before it calls."""

PAYMENTS = Caller(
    subject="payments", scopes=frozenset({"orders:read", "users:any", DELIVERY}), issuer="payments"
)
"""The payment service, as the order service knows it."""

SERVICES = {service.subject: service for service in (ORDERS, PAYMENTS)}


NEVER_OF_ORDERS = frozenset({"refunds:approve", "operations:read", "operations:write", DELIVERY})
"""Scopes that nobody has by way of the order service: who decides refunds, or operates, comes themselves."""


def orders_for(attempt: Attempt) -> Caller:
    """The order service, or it acting for the person who asked for it: limits and approval go by the person.

    Their scopes go with them, for the rules of the refund policy; whose order it is was decided before.
    """
    if attempt.requested_by is None:
        return ORDERS
    scopes = ORDERS.scopes
    if attempt.requested_scope is not None:
        scopes = frozenset({*attempt.requested_scope.split(), "users:any"})
    return replace(ORDERS, subject=attempt.requested_by, actor=ORDERS.subject, scopes=scopes)


def payments_for(caller: Caller) -> Caller:
    """The payment service asking about an order for its own caller, who sees no more of it than before."""
    allowed = {"orders:read"} | (caller.scopes & {"users:any"})
    return replace(
        PAYMENTS,
        subject=caller.subject,
        scopes=frozenset(allowed),
        actor=PAYMENTS.subject,
        order_id=caller.order_id,
    )
