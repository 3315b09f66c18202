"""`PATCH /v1/payments/{paymentId}`: another amount, before anything is confirmed."""

from typing import Any

import msgspec
from litestar import Request, patch
from litestar.response.base import ASGIResponse
from structlog.contextvars import bind_contextvars

from domain.payments.gateway import LineItem
from domain.payments.use_cases.update_payment import UpdatePayment
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http import examples
from entrypoints.http.answers import result
from entrypoints.http.bodies import read_json
from entrypoints.http.container import container_of
from entrypoints.http.idempotency import idempotent
from entrypoints.http.operations import Operation, route
from entrypoints.http.payments import payment_answer
from entrypoints.http.queries import read_id
from entrypoints.http.schemas.payments import PaymentAnswer, UpdatePaymentBody

UPDATE = Operation(
    operation_id="updatePayment",
    tag="Payments",
    summary="Change the amount of a payment that nobody has confirmed yet",
    description="For an order that has changed: it is asked back, and must want just this amount. While the customer "
    "authenticates, or once money is held, the amount stays.",
    scopes=("payments:write",),
    body=UpdatePaymentBody,
    body_examples={"amount": UpdatePaymentBody(amount=3197)},
    answer=PaymentAnswer,
    answer_example=examples.PAYMENT,
    key="optional",
    problems={
        404: ("payment_not_found",),
        409: ("payment_state_forbids", "operation_in_flight"),
        422: (
            "amount_too_small",
            "amount_too_large",
            "amount_not_representable",
            "order_unknown",
            "order_terms_differ",
            "gateway_refused",
        ),
        503: ("orders_unavailable", "gateway_unavailable"),
    },
)


@patch("/v1/payments/{paymentId:str}", **route(UPDATE))
async def update_payment(request: Request[Caller, Any, Any]) -> ASGIResponse:
    payment_id = read_id(request, "paymentId")
    bind_contextvars(payment_id=payment_id)
    body = await read_json(request, UpdatePaymentBody)
    payments = container_of(request.app).payments
    wanted = body.value

    async def run(request_id: str) -> Answer:
        payment = await payments.update_payment(
            UpdatePayment(
                request_id=request_id,
                caller=request.user,
                payment_id=payment_id,
                amount=wanted.amount,
                description=wanted.description,
                lines=tuple(LineItem(**msgspec.structs.asdict(line)) for line in wanted.lines),
                shipping_amount=wanted.shipping_amount,
                discount_amount=wanted.discount_amount,
                tax_amount=wanted.tax_amount,
                order_snapshot=wanted.order_snapshot,
            )
        )
        return result(payment_answer(payment))

    return await idempotent(request, payments.idempotency, body, run, key_required=False)


ROUTES = [update_payment]
