"""Refunds with authority, over HTTP and on a real database: limits, four eyes, one token for one approval."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from domain.payments.gateway import GatewayRefused
from entrypoints.refund_policy import LimitSettings, RefundPolicySettings, RuleSettings
from tests.integration.http.conftest import CUSTOMER, REFUNDER, Api, MakeApi
from tests.integration.http.test_problems import problem
from tests.support.fake_gateway import FakeGateway
from tests.support.follow import follow_payments

APPROVER = ("orders:read", "payments:read", "refunds:approve", "users:any")
POLICY = RefundPolicySettings(
    rules=(
        RuleSettings(name="order service", subjects=frozenset({"orders"})),
        RuleSettings(
            name="staff",
            per_refund={"EUR": 500},
            per_day={"EUR": 1000},
            approves=LimitSettings(per_refund={"EUR": 2000}),
        ),
    ),
    reasons=frozenset({"torn", "late"}),
)


@pytest.fixture
def api(make_api: MakeApi) -> Api:
    return make_api(refund_policy=POLICY)


async def pay(api: Api, number: int = 0) -> dict[str, Any]:
    """An order of 27.47 EUR, paid."""
    order = await api.order()
    body = {
        "orderId": order["orderId"],
        "amount": 2747,
        "currency": "EUR",
        "paymentMethodToken": "pm_card_visa",
    }
    answer = await api.post("/v1/payments", body, key=f"pay-{order['orderId']}-{number}")
    assert answer.status_code == 201, answer.text
    payment: dict[str, Any] = answer.json()
    return payment


async def refund(
    api: Api,
    payment: dict[str, Any],
    amount: int,
    key: str,
    *,
    sub: str = "ann",
    path: str = "",
    **changes: Any,
) -> httpx.Response:
    body = {
        "paymentId": payment["paymentId"],
        "amount": amount,
        "currency": "EUR",
        "reason": "torn",
        **changes,
    }
    return await api.post(f"/v1/refunds{path}", body, key=key, scopes=REFUNDER, sub=sub)


async def decide(
    api: Api, refund_id: str, verb: str, key: str, *, sub: str = "boss", **headers: str
) -> httpx.Response:
    return await api.post(
        f"/v1/refunds/{refund_id}/{verb}",
        {"comment": "seen"},
        key=key,
        scopes=APPROVER,
        sub=sub,
        headers=headers,
    )


async def test_above_the_limit_a_refund_waits_until_somebody_else_approves_it(
    api: Api, gateway: FakeGateway
) -> None:
    payment = await pay(api)
    asked = await refund(api, payment, 501, "one")
    waiting = asked.json()
    assert (asked.status_code, waiting["status"], waiting["policyRule"]) == (201, "PENDING_APPROVAL", "staff")
    assert (waiting["requestedBy"], waiting["decidedBy"]) == ("ann", None)
    assert waiting["approveBefore"] > waiting["createdAt"]
    assert not gateway.refunds
    refund_id = waiting["refundId"]
    problem(await decide(api, refund_id, "approve", "own", sub="ann"), 403, "approver_is_requester")
    listed = await api.get("/v1/refunds?status=PENDING_APPROVAL", scopes=APPROVER)
    assert [item["refundId"] for item in listed.json()["items"]] == [refund_id]
    approved = await decide(api, refund_id, "approve", "yes")
    told = approved.json()
    assert (approved.status_code, told["status"], told["decidedBy"], told["comment"]) == (
        200,
        "SUCCEEDED",
        "boss",
        "seen",
    )
    again = await decide(api, refund_id, "approve", "yes")
    assert (again.content, again.headers["Idempotency-Replayed"]) == (approved.content, "true")
    problem(await decide(api, refund_id, "approve", "twice"), 409, "refund_state_forbids")
    problem(await decide(api, refund_id, "reject", "late"), 409, "refund_state_forbids")
    assert len(gateway.refunds) == 1


async def test_a_token_approves_one_refund(api: Api) -> None:
    payment = await pay(api)
    first, second = [
        (await refund(api, payment, 600, f"r{n}", sub="ann")).json()["refundId"] for n in range(2)
    ]
    bearer = api.bearer(*APPROVER, sub="boss")
    assert (await decide(api, first, "approve", "a", **bearer)).status_code == 200
    problem(await decide(api, second, "approve", "b", **bearer), 403, "token_used")
    replayed = await decide(api, first, "approve", "a", **bearer)
    assert (replayed.status_code, replayed.headers["Idempotency-Replayed"]) == (200, "true")
    assert (await decide(api, second, "approve", "b")).status_code == 200


async def test_each_refusal_names_its_code_and_its_field(api: Api) -> None:
    payment = await pay(api)
    unknown = await refund(api, payment, 1, "a", reason="because")
    problem(unknown, 422, "refund_reason_unknown")
    assert unknown.json()["errors"] == [
        {"pointer": "/reason", "message": "the reason must be one of late, torn"}
    ]
    over = (await refund(api, payment, 2001, "b")).json()["refundId"]
    problem(await decide(api, over, "approve", "c"), 403, "approval_limit_exceeded")
    problem(await refund(api, payment, 747, "d"), 422, "refund_exceeds_captured")  # what waits counts
    assert (await decide(api, over, "reject", "e")).json()["status"] == "REJECTED"
    problem(await decide(api, "ref_none", "approve", "f"), 404, "refund_not_found")
    problem(
        await api.post(f"/v1/refunds/{over}/approve", {}, scopes=APPROVER), 400, "idempotency_key_missing"
    )
    for verb, scopes in (("approve", REFUNDER), ("reject", REFUNDER), ("retry", APPROVER)):
        answer = await api.post(f"/v1/refunds/{over}/{verb}", {}, key=f"g-{verb}", scopes=scopes)
        assert answer.status_code == 403
    for path in ("/v1/refunds", f"/v1/refunds/{over}"):
        assert (await api.get(path, scopes=CUSTOMER)).status_code == 403
    stranger = (*CUSTOMER, "refunds:create")
    assert (await api.get("/v1/refunds", scopes=stranger, sub="u_9")).json()["items"] == []
    problem(await api.get(f"/v1/refunds/{over}", scopes=stranger, sub="u_9"), 404, "refund_not_found")
    problem(
        await api.post(f"/v1/refunds/{over}/retry", {}, key="h", scopes=REFUNDER), 409, "refund_state_forbids"
    )


async def test_a_simulation_answers_what_the_refund_would(api: Api, gateway: FakeGateway) -> None:
    payment = await pay(api)
    for amount, outcome, causes in ((500, "ALLOWED", []), (501, "NEEDS_APPROVAL", ["PER_REFUND"])):
        answer = (await refund(api, payment, amount, f"s{amount}", path="/simulate")).json()
        assert (answer["outcome"], answer["policyRule"], answer["causes"]) == (outcome, "staff", causes)
    refused = (await refund(api, payment, 2748, "s3", path="/simulate")).json()
    assert (refused["outcome"], refused["refusal"]["code"]) == ("REFUSED", "refund_exceeds_captured")
    problem(await refund(api, {"paymentId": "pay_none"}, 1, "s4", path="/simulate"), 404, "payment_not_found")
    assert not gateway.refunds
    assert (await api.get("/v1/refunds", scopes=REFUNDER)).json()["items"] == []


async def test_twenty_refunds_at_once_do_not_pass_the_limit_of_a_day(api: Api, gateway: FakeGateway) -> None:
    payments = [await pay(api, n) for n in range(20)]

    async def ask(number: int) -> str:
        for _ in range(50):  # a crowd may have taken every connection
            answer = await refund(api, payments[number], 300, f"r{number}")
            if answer.status_code != 503:
                break
        assert answer.status_code == 201, answer.text
        status: str = answer.json()["status"]
        return status

    told = Counter(await asyncio.gather(*(ask(number) for number in range(20))))
    assert told == {"SUCCEEDED": 3, "PENDING_APPROVAL": 17}  # 3 times 300 are within 1000
    assert sum(one.amount for one in gateway.refunds.values()) == 900
    assert (await refund(api, payments[0], 100, "other", sub="bob")).json()["status"] == "SUCCEEDED"


async def test_a_refund_of_an_order_waits_like_any_other(api: Api) -> None:
    payment = await pay(api)
    path = f"/v1/orders/{payment['orderId']}"
    await follow_payments(api.container)
    asked = await api.post(
        f"{path}/refunds", {"amount": 600, "reason": "torn"}, key="o", scopes=REFUNDER, sub="ann"
    )
    assert (asked.status_code, asked.json()["status"]) == (201, "PENDING_APPROVAL")
    order = (await api.get(path)).json()
    assert [(one["status"], one["amount"]) for one in order["refunds"]] == [("PENDING_APPROVAL", 600)]
    found = (await api.get(f"/v1/refunds/{asked.json()['refundId']}", scopes=APPROVER)).json()
    assert (found["requestedBy"], found["policyRule"]) == ("ann", "staff")
    problem(await decide(api, found["refundId"], "approve", "own", sub="ann"), 403, "approver_is_requester")
    unknown = await api.post(
        f"{path}/refunds", {"amount": 1, "reason": "x"}, key="p", scopes=REFUNDER, sub="ann"
    )
    problem(unknown, 422, "refund_reason_unknown")


async def test_a_failed_refund_is_retried_under_its_own_id(api: Api, gateway: FakeGateway) -> None:
    payment = await pay(api)
    gateway.script(GatewayRefused("balance_insufficient", "Not now."))
    failed = (await refund(api, payment, 400, "one")).json()
    assert (failed["status"], failed["failureReason"]) == ("FAILED", "balance_insufficient")
    refund_id = failed["refundId"]
    retried = await api.post(f"/v1/refunds/{refund_id}/retry", {}, key="two", scopes=REFUNDER, sub="ann")
    told = retried.json()
    assert (retried.status_code, told["status"], told["attempt"]) == (200, "SUCCEEDED", 2)
    assert (await api.get(f"/v1/payments/{payment['paymentId']}")).json()["amountRefunded"] == 400
    again = await api.post(f"/v1/refunds/{refund_id}/retry", {}, key="two", scopes=REFUNDER, sub="ann")
    assert (again.content, len(gateway.refunds)) == (retried.content, 1)
