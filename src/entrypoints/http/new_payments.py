"""The calls that make a payment, and the one that looks at it before: translate, call, translate back."""

from typing import Any

from litestar import Request, post
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.payments.gateway import Address, Customer, LineItem
from domain.payments.line_data import LevelCheck
from domain.payments.use_cases.create_payment import CreatePayment
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import result
from entrypoints.http.bodies import Body, read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.payments import METHOD_PROBLEMS, line_fault_answers, payment_answer
from entrypoints.http.schemas.internal import PutPaymentBody
from entrypoints.http.schemas.parts import AddressBody, CustomerBody, LineBody
from entrypoints.http.schemas.payments import (
    CreateIntentBody,
    CreatePaymentBody,
    LevelAnswer,
    PaymentAnswer,
    PreflightAnswer,
)

ApiRequest = Request[Caller, Any, Any]

_OWN_PROBLEMS = (
    "currency_unsupported",
    "amount_too_small",
    "amount_too_large",
    "amount_not_representable",
    "statement_descriptor_invalid",
    "user_required",
)
"""What a request to create is refused for by itself."""
_CREATE_PROBLEMS = {
    403: ("user_differs",),
    409: ("payment_in_progress",),
    422: (
        *dict.fromkeys((*_OWN_PROBLEMS, *METHOD_PROBLEMS)),
        "order_unknown",
        "order_terms_differ",
        "order_snapshot_missing",
        "order_snapshot_invalid",
        "order_snapshot_stale",
        "gateway_refused",
    ),
    503: ("orders_unavailable", "gateway_unavailable"),
}

CREATE_INTENT = Operation(
    operation_id="createPaymentIntent",
    tag="Payments",
    summary="Begin a payment that the client completes",
    description="The order is asked back before anything is created: amount, currency, and whether it may be paid.",
    scopes=("payments:write",),
    body=CreateIntentBody,
    body_examples={"order": examples.CREATE_INTENT},
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    status=201,
    key="required",
    problems=_CREATE_PROBLEMS,
)
CREATE = Operation(
    operation_id="createPayment",
    tag="Payments",
    summary="Create and confirm a payment in one call",
    description="A decline is no error: 201 with `REQUIRES_PAYMENT_METHOD` and `lastError`.",
    scopes=("payments:write",),
    body=CreatePaymentBody,
    body_examples={"card": examples.CREATE_PAYMENT},
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    status=201,
    key="required",
    problems=_CREATE_PROBLEMS,
)
PREFLIGHT = Operation(
    operation_id="preflightPayment",
    tag="Payments",
    summary="Whether a payment's lines and totals suffice for the rates of Level 2 and 3",
    description="Nothing is made, and neither the gateway nor the order service is asked. Lines that break a rule "
    "are left out of a payment, and with a fault of a level only its rates are lost.",
    scopes=("payments:write",),
    body=CreateIntentBody,
    body_examples={"order": examples.CREATE_INTENT},
    answer=PreflightAnswer,
    answer_example=examples.PREFLIGHT,
    key="optional",
    problems={403: ("user_differs",), 422: _OWN_PROBLEMS},
)


@post("/v1/payments/intents", **route(CREATE_INTENT))
async def create_payment_intent(request: ApiRequest) -> ASGIResponse:
    return await _create(request, await read_json(request, CreateIntentBody), confirm=False)


@post("/v1/payments", **route(CREATE))
async def create_payment(request: ApiRequest) -> ASGIResponse:
    return await _create(request, await read_json(request, CreatePaymentBody), confirm=True)


async def _create(
    request: ApiRequest, body: Body[CreateIntentBody] | Body[CreatePaymentBody], *, confirm: bool
) -> ASGIResponse:
    container = container_of(request.app)
    wanted = body.value
    bind_contextvars(order_id=wanted.order_id)

    async def run(request_id: str) -> Answer:
        payment = await container.payments.create_payment(
            create_command(request, wanted, request_id, confirm=confirm)
        )
        bind_contextvars(payment_id=payment.payment_id)
        location = f"/v1/payments/{payment.payment_id}"
        return result(payment_answer(payment), status=201, headers={"Location": location})

    return await idempotent(request, container.payments.idempotency, body, run, key_required=True)


@post("/v1/payments/preflight", **route(PREFLIGHT))
async def preflight_payment(request: ApiRequest) -> ASGIResponse:
    body = await read_json(request, CreateIntentBody)
    payments = container_of(request.app).payments

    async def run(request_id: str) -> Answer:
        check = payments.preflight_payment(create_command(request, body.value, request_id, confirm=False))
        return result(PreflightAnswer(level2=_level_answer(check.level2), level3=_level_answer(check.level3)))

    return await idempotent(request, payments.idempotency, body, run, key_required=False)


ROUTES = [create_payment_intent, create_payment, preflight_payment]


def create_command(
    request: ApiRequest,
    wanted: CreateIntentBody | CreatePaymentBody | PutPaymentBody,
    request_id: str,
    *,
    confirm: bool,
) -> CreatePayment:
    return CreatePayment(
        request_id=request_id,
        caller=request.user,
        order_id=wanted.order_id,
        amount=wanted.amount,
        currency=wanted.currency,
        confirm=confirm,
        return_url=wanted.return_url or container_of(request.app).settings.return_url,
        capture_method=wanted.capture_method,
        user_id=wanted.user_id,
        description=wanted.description,
        lines=tuple(_line(line) for line in wanted.lines),
        shipping_amount=wanted.shipping_amount,
        discount_amount=wanted.discount_amount,
        tax_amount=wanted.tax_amount,
        customer=_customer(wanted.customer),
        payment_method_token=wanted.payment_method_token,
        setup_future_usage=wanted.setup_future_usage,
        off_session=isinstance(wanted, CreatePaymentBody | PutPaymentBody) and wanted.off_session,
        receipt_email=wanted.receipt_email,
        statement_descriptor_suffix=wanted.statement_descriptor_suffix,
        order_snapshot=wanted.order_snapshot,
    )


def _line(line: LineBody) -> LineItem:
    return LineItem(
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        discount_amount=line.discount_amount,
        tax_amount=line.tax_amount,
        commodity_code=line.commodity_code,
        unit_of_measure=line.unit_of_measure,
    )


def _customer(customer: CustomerBody | None) -> Customer | None:
    if customer is None:
        return None
    return Customer(
        name=customer.name,
        email=customer.email,
        billing_address=_address(customer.billing_address),
        shipping_address=_address(customer.shipping_address),
    )


def _address(address: AddressBody | None) -> Address | None:
    if address is None:
        return None
    return Address(
        line1=address.line1,
        line2=address.line2,
        city=address.city,
        state=address.state,
        postal_code=address.postal_code,
        country=address.country,
    )


def _level_answer(check: LevelCheck) -> LevelAnswer:
    return LevelAnswer(qualifies=check.qualifies, faults=line_fault_answers(check.faults))
