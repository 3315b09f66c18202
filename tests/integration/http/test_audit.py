"""`GET /v1/audit`: both logs as one, in pages."""

from datetime import timedelta

from domain.shared.audit import AuditEntry
from tests.integration.http.conftest import OPERATOR, Api
from tests.integration.http.test_problems import problem
from tests.support.house import START


async def append(api: Api, service: str, *numbers: int, subject: str = "ada") -> None:
    side = api.container.orders if service == "orders" else api.container.payments
    async with side.unit_of_work() as uow:
        for number in numbers:
            entry = AuditEntry(
                at=START + timedelta(minutes=number),
                action="stock.count",
                subject=subject,
                object_type="sku",
                object_id=f"OAK {number}/ä",
                after={"onHand": number},
            )
            await uow.audit.append(entry)
        await uow.commit()


async def test_an_auditor_reads_both_logs_newest_first(api: Api) -> None:
    await append(api, "orders", 1, 4, 5)
    await append(api, "payments", 2, 3, 6, subject="bob")
    seen: list[tuple[str, int]] = []
    cursor = ""
    while True:
        page = (await api.get(f"/v1/audit?limit=2{cursor}", scopes=OPERATOR)).json()
        seen += [(item["service"], item["after"]["onHand"]) for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert seen == [
        *(("payments", 6), ("orders", 5), ("orders", 4), ("payments", 3), ("payments", 2), ("orders", 1))
    ]

    page = (await api.get("/v1/audit?subject=bob&limit=1", scopes=OPERATOR)).json()
    (item,) = page["items"]
    assert (item["position"], item["objectId"], item["subject"]) == (3, "OAK 6/ä", "bob")
    page = (await api.get("/v1/audit?objectId=OAK%201/%C3%A4", scopes=OPERATOR)).json()
    assert [item["position"] for item in page["items"]] == [1]


async def test_bad_queries_are_refused(api: Api) -> None:
    for query in ("cursor=b3RoZXI", "limit=0", "objectId=", "since=2026"):
        problem(await api.get(f"/v1/audit?{query}", scopes=OPERATOR), 400, "malformed")


async def test_an_attention_is_acknowledged_and_the_auditor_sees_by_whom(api: Api) -> None:
    order = await api.order()
    paid = await api.post(
        f"/v1/orders/{order['orderId']}/confirm", {"paymentMethodToken": "pm_card_visa"}, key="pay"
    )
    payment_id = paid.json()["payment"]["paymentId"]
    async with api.container.payments.unit_of_work() as uow:
        payment = await uow.payments.lock(payment_id)
        assert payment is not None
        payment.attention = "GATEWAY_CONTRADICTS"
        await uow.payments.save(payment)
        await uow.commit()
    path, scopes = f"/v1/payments/{payment_id}/acknowledge", (*OPERATOR, "operations:write")
    body = {"attention": "GATEWAY_CONTRADICTS", "comment": "Refunded in the dashboard."}

    for _ in range(2):
        answer = await api.post(path, body, scopes=scopes, key="once")
        assert (answer.status_code, answer.json()["attention"]) == (200, None), answer.text
    problem(await api.post(path, body, scopes=scopes), 409, "attention_not_open")
    problem(await api.post(path, {"attention": "X"}, scopes=scopes), 400, "malformed")
    of_order = f"/v1/orders/{order['orderId']}/acknowledge"
    problem(await api.post(of_order, body, scopes=scopes), 409, "attention_not_open")
    problem(await api.post("/v1/orders/ord_x/acknowledge", body, scopes=scopes), 404, "order_not_found")

    (item,) = (await api.get(f"/v1/audit?objectId={payment_id}", scopes=OPERATOR)).json()["items"]
    assert (item["action"], item["subject"], item["reason"]) == (
        "payment.acknowledge",
        "u_1",
        body["comment"],
    )
    assert item["scopes"] == sorted(scopes)


async def test_what_operators_do_with_endpoints_is_told_without_addresses_or_secrets(api: Api) -> None:
    scopes = (*OPERATOR, "operations:write")
    url = "https://8.8.8.8/with/a-secret-path"
    made = await api.post(
        "/v1/webhook-endpoints", {"url": url, "eventTypes": ["*"]}, scopes=scopes, key="new"
    )
    assert made.status_code == 201, made.text
    path = f"/v1/webhook-endpoints/{made.json()['endpointId']}"
    headers = api.bearer(*scopes)
    assert (await api.http.patch(path, json={"enabled": False}, headers=headers)).status_code == 200
    assert (await api.post(f"{path}/rotate-secret", scopes=scopes)).status_code == 200
    since = {"since": "2026-03-01T12:00:00Z"}
    assert (await api.post(f"{path}/replay", since, scopes=scopes)).status_code == 200
    assert (await api.delete(path, scopes=scopes)).status_code == 204

    answer = await api.get(f"/v1/audit?objectId={made.json()['endpointId']}", scopes=OPERATOR)
    items = answer.json()["items"]
    assert [item["action"] for item in reversed(items)] == [
        *("endpoint.create", "endpoint.change", "endpoint.rotate_secret", "endpoint.delete")
    ]
    changed = items[2]
    assert (changed["before"]["enabled"], changed["after"]["enabled"]) == (True, False)
    assert "a-secret-path" not in answer.text
    assert made.json()["secret"] not in answer.text
