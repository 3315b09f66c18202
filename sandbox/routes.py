"""The calls of Stripe's API that the sandbox answers, each with the class that describes its parameters."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox import balance, charges, customers, disputes, events, intents, methods, refunds
from sandbox.errors import ApiError
from sandbox.listing import search_intents
from sandbox.session import Session

Json = dict[str, Any]
Handler = Callable[..., Json]


@dataclass(frozen=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    handler: Handler
    params_class: str


def _route(method: str, path: str, handler: Handler, params_class: str) -> Route:
    return Route(method, re.compile(path.replace("*", r"([A-Za-z0-9_]+)") + r"\Z"), handler, params_class)


_ROUTES = [
    _route("POST", "/v1/payment_intents", intents.create_intent, "PaymentIntentCreateParams"),
    _route("GET", "/v1/payment_intents", intents.list_intents, "PaymentIntentListParams"),
    _route("GET", "/v1/payment_intents/search", search_intents, "PaymentIntentSearchParams"),
    _route("GET", "/v1/payment_intents/*", intents.retrieve_intent, "PaymentIntentRetrieveParams"),
    _route("POST", "/v1/payment_intents/*", intents.update_intent, "PaymentIntentUpdateParams"),
    _route("POST", "/v1/payment_intents/*/confirm", intents.confirm_intent, "PaymentIntentConfirmParams"),
    _route("POST", "/v1/payment_intents/*/capture", intents.capture_intent, "PaymentIntentCaptureParams"),
    _route("POST", "/v1/payment_intents/*/cancel", intents.cancel_intent, "PaymentIntentCancelParams"),
    _route(
        "GET",
        "/v1/payment_intents/*/amount_details_line_items",
        intents.list_line_items,
        "PaymentIntentListAmountDetailsLineItemsParams",
    ),
    _route("GET", "/v1/charges", charges.list_charges, "ChargeListParams"),
    _route("GET", "/v1/charges/*", charges.retrieve_charge, "ChargeRetrieveParams"),
    _route("POST", "/v1/charges/*", charges.update_charge, "ChargeUpdateParams"),
    _route("POST", "/v1/refunds", refunds.create_refund, "RefundCreateParams"),
    _route("GET", "/v1/refunds", refunds.list_refunds, "RefundListParams"),
    _route("GET", "/v1/refunds/*", refunds.retrieve_refund, "RefundRetrieveParams"),
    _route("POST", "/v1/refunds/*", refunds.update_refund, "RefundUpdateParams"),
    _route("POST", "/v1/refunds/*/cancel", refunds.cancel_refund, "RefundCancelParams"),
    _route("GET", "/v1/disputes", disputes.list_disputes, "DisputeListParams"),
    _route("GET", "/v1/disputes/*", disputes.retrieve_dispute, "DisputeRetrieveParams"),
    _route("POST", "/v1/disputes/*", disputes.update_dispute, "DisputeUpdateParams"),
    _route("POST", "/v1/disputes/*/close", disputes.close_dispute, "DisputeCloseParams"),
    _route("POST", "/v1/customers", customers.create_customer, "CustomerCreateParams"),
    _route("GET", "/v1/customers", customers.list_customers, "CustomerListParams"),
    _route("GET", "/v1/customers/*", customers.retrieve_customer, "CustomerRetrieveParams"),
    _route("POST", "/v1/customers/*", customers.update_customer, "CustomerUpdateParams"),
    _route("DELETE", "/v1/customers/*", customers.delete_customer, "CustomerDeleteParams"),
    _route(
        "GET",
        "/v1/customers/*/payment_methods",
        methods.list_customer_methods,
        "CustomerPaymentMethodListParams",
    ),
    _route(
        "GET",
        "/v1/customers/*/payment_methods/*",
        methods.retrieve_customer_method,
        "CustomerPaymentMethodRetrieveParams",
    ),
    _route("POST", "/v1/payment_methods", methods.create_method, "PaymentMethodCreateParams"),
    _route("GET", "/v1/payment_methods", methods.list_methods, "PaymentMethodListParams"),
    _route("GET", "/v1/payment_methods/*", methods.retrieve_method, "PaymentMethodRetrieveParams"),
    _route("POST", "/v1/payment_methods/*", methods.update_method, "PaymentMethodUpdateParams"),
    _route("POST", "/v1/payment_methods/*/attach", methods.attach_method, "PaymentMethodAttachParams"),
    _route("POST", "/v1/payment_methods/*/detach", methods.detach_method, "PaymentMethodDetachParams"),
    _route("GET", "/v1/events", events.list_events, "EventListParams"),
    _route("GET", "/v1/events/*", events.retrieve_event, "EventRetrieveParams"),
    _route("GET", "/v1/balance_transactions", balance.list_transactions, "BalanceTransactionListParams"),
    _route(
        "GET",
        "/v1/balance_transactions/*",
        balance.retrieve_transaction,
        "BalanceTransactionRetrieveParams",
    ),
    _route("GET", "/v1/balance", balance.retrieve_balance, "BalanceRetrieveParams"),
    _route("POST", "/v1/payouts", balance.create_payout, "PayoutCreateParams"),
    _route("GET", "/v1/payouts", balance.list_payouts, "PayoutListParams"),
    _route("GET", "/v1/payouts/*", balance.retrieve_payout, "PayoutRetrieveParams"),
    _route("POST", "/v1/webhook_endpoints", events.create_endpoint, "WebhookEndpointCreateParams"),
    _route("GET", "/v1/webhook_endpoints", events.list_endpoints, "WebhookEndpointListParams"),
    _route("GET", "/v1/webhook_endpoints/*", events.retrieve_endpoint, "WebhookEndpointRetrieveParams"),
    _route("POST", "/v1/webhook_endpoints/*", events.update_endpoint, "WebhookEndpointUpdateParams"),
    _route("DELETE", "/v1/webhook_endpoints/*", events.delete_endpoint, "WebhookEndpointDeleteParams"),
]


@dataclass(frozen=True)
class Call:
    """A request for one route, its parameters checked."""

    route: Route
    ids: tuple[str, ...]

    def answer(self, session: Session, params: Json) -> Json:
        return self.route.handler(session, params, *self.ids)


def find_call(method: str, path: str) -> Call:
    """Raises ApiError 404 for a call that the sandbox does not know."""
    for route in _ROUTES:
        if route.method == method:
            match = route.pattern.match(path)
            if match is not None:
                return Call(route, match.groups())
    raise ApiError(
        f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing "
        "slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in "
        "your code. Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
        status=404,
    )
