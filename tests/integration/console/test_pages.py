"""The pages with data on them, and what each action does."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from sqlalchemy import text

from domain.payments.webhook import StoredWebhook, WebhookOutcome
from domain.reconciliation.finding import Action, Difference, Finding, FindingType
from domain.shared.audit import AuditEntry
from outbox import Event, OrderedInbox, RetryPolicy
from tests.integration.console.conftest import OPERATOR, READER, OpenBrowser
from tests.integration.http.conftest import CART, REFUNDER, Api
from tests.support.browser import Browser, Page
from tests.support.fake_gateway import FakeGateway
from tests.support.follow import follow_payments

EVIL = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>{{ 7919 * 7907 }}"
EMAIL = "marked-address@marked-host.example"
CUSTOMER = {
    "name": "Marked Person",
    "email": EMAIL,
    "shippingAddress": {
        "line1": "Marked Street 1",
        "city": "Markedville",
        "postalCode": "M4RK3D",
        "country": "NL",
    },
}


async def paid(api: Api, method: str = "pm_card_visa", **changes: Any) -> dict[str, Any]:
    """An order that follows its payment."""
    order = await api.order(customer=CUSTOMER, **changes)
    path = f"/v1/orders/{order['orderId']}"
    answer = await api.post(f"{path}/confirm", {"paymentMethodToken": method}, key=f"pay-{order['orderId']}")
    assert answer.status_code == 200, answer.text
    await follow_payments(api.container)
    found: dict[str, Any] = (await api.get(path)).json()
    return found


async def refund(api: Api, order: dict[str, Any], reason: str) -> dict[str, Any]:
    body = {"paymentId": order["payment"]["paymentId"], "amount": 100, "currency": "EUR", "reason": reason}
    answer = await api.post("/v1/refunds", body, key=f"refund-{order['orderId']}", scopes=REFUNDER)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def execute(api: Api, statement: str, **values: Any) -> None:
    async with api.container.orders.engine.begin() as connection:
        await connection.execute(text(statement), values)


async def park(api: Api, order: dict[str, Any], cause: str) -> str:
    """The next event of this order's payment is given up for this cause; its id."""
    refunded = await refund(api, order, "arrived broken")
    async with api.container.payments.engine.connect() as connection:
        row = (
            await connection.execute(
                text(
                    "SELECT id, topic, stream, sequence, type, payload::text AS payload, headers::text AS headers"
                    " FROM payments.outbox_event WHERE stream = :stream ORDER BY sequence DESC LIMIT 1"
                ),
                {"stream": refunded["paymentId"]},
            )
        ).one()
    await follow_with_failure(api, row, cause)
    return str(row.id)


async def follow_with_failure(api: Api, row: Any, cause: str) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError(cause)

    inbox = OrderedInbox("orders", "orders", fail, retry=RetryPolicy(attempts=1, first_seconds=0.0))
    event = Event(
        row.id,
        row.topic,
        row.stream,
        row.sequence,
        row.type,
        row.payload.encode(),
        json.loads(row.headers),
    )
    await inbox.receive(api.container.orders.engine, [event])


async def test_orders_are_found_and_told(api: Api, browser: Browser) -> None:
    order = await paid(api)
    failed = await paid(api, "pm_card_chargeDeclined", userId="u_2")
    page = await browser.open("/console/orders")
    assert {f"/console/orders/{one['orderId']}" for one in (order, failed)} <= set(page.links)

    form = page.form("/console/orders")
    assert form.method == "get"
    page = await browser.send(form, status="PAYMENT_FAILED", userId="u_2")
    assert [link for link in page.links if link.startswith("/console/orders/")] == [
        f"/console/orders/{failed['orderId']}"
    ]
    assert page.form("/console/orders").fields["userId"] == "u_2"
    assert page.form("/console/orders").fields["status"] == "PAYMENT_FAILED"
    page = await browser.send(form, orderId=order["orderId"])
    assert page.answer.url.path == f"/console/orders/{order['orderId']}"
    for said in ("27.47 EUR", "TEA", "visa … 4242", "Checkout was completed", "u_1", "NL", "UTC"):
        assert said in page.text
    assert f"/console/payments/{order['payment']['paymentId']}" in page.links
    assert (await browser.open("/console/orders/ord_none")).status == 404
    assert (await browser.open("/console/orders?status=NONE")).status == 400
    await execute(
        api, "UPDATE orders.orders SET attention = 'DISPUTED' WHERE order_id = :id", id=order["orderId"]
    )
    for path in ("/console", "/console/orders?attention=true"):
        page = await browser.open(path)
        assert [link for link in page.links if link.startswith("/console/orders/")] == [
            f"/console/orders/{order['orderId']}"
        ]
        assert "disputed" in page.text
    listed = (await api.get("/v1/orders?attention=true")).json()["items"]
    assert [one["orderId"] for one in listed] == [order["orderId"]]


async def test_a_person_settles_what_had_to_be_looked_at(api: Api, browser: Browser) -> None:
    order = await paid(api)
    payment_id = order["payment"]["paymentId"]
    await execute(
        api, "UPDATE orders.orders SET attention = 'DISPUTE_LOST' WHERE order_id = :id", id=order["orderId"]
    )
    await execute(
        api, "UPDATE payments.payment SET attention = 'DISPUTE_LOST' WHERE payment_id = :id", id=payment_id
    )
    for path in (f"/console/orders/{order['orderId']}", f"/console/payments/{payment_id}"):
        form = (await browser.open(path)).form(f"{path}/acknowledge")
        assert (await browser.send(form, comment="")).status == 400
        page = await browser.send(form, comment=f"written off {EVIL}")
        assert "Nobody needs to look at it any more" in page.text
        assert "/acknowledge" not in str(page.forms)
        again = (await browser.open("/console")).form("/console/sign-out").fields["key"]
        page = await browser.send(form, comment="once more", key=again)
        assert (page.status, "attention_not_open" in page.text) == (409, True)
    page = await browser.open("/console/audit?subject=operator")
    assert page.text.count("written off") >= 2


async def test_lists_go_on_where_they_ended(
    api: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrypoints.console.orders.PAGE", 2)
    orders = [await api.order() for _ in range(5)]
    seen: list[str] = []
    link: str | None = "/console/orders?status=DRAFT"
    while link:
        page = await browser.open(link)
        seen += [one for one in page.links if one.startswith("/console/orders/")]
        link = next((one for one in page.links if "cursor=" in one), None)
        assert link is None or "status=DRAFT" in link
    assert seen == [f"/console/orders/{one['orderId']}" for one in reversed(orders)]
    assert (await browser.open("/console/orders?cursor=x")).status == 400


async def test_an_order_is_live(api: Api, browser: Browser) -> None:
    order = await paid(api)
    page = await browser.open(f"/console/orders/{order['orderId']}")
    stream = page.answer.text.partition('data-stream="')[2].partition('"')[0]
    assert stream.startswith(f"/console/orders/{order['orderId']}/stream?lastEventId=")
    assert int(stream.rpartition("=")[2]) > 0
    browser.http.cookies.clear()  # a stream ends with its token: this one at once
    browser.http.cookies.set("__Host-payonce", api.token(*OPERATOR, seconds=0), domain="payonce.test")
    answer = await browser.http.get(stream, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_payments_are_found_and_told(api: Api, browser: Browser) -> None:
    order = await paid(api)
    made = await refund(api, order, "arrived broken")
    page = await browser.send(
        (await browser.open("/console/payments")).form("/console/payments"), orderId=order["orderId"]
    )
    (link,) = [one for one in page.links if one.startswith("/console/payments/pay_")]
    page = await browser.open(link)
    for said in (
        made["refundId"],
        "arrived broken",
        "create",
        "refund",
        "PaymentSucceeded",
        "27.47 EUR",
        "u_1",
    ):
        assert said in page.text, said
    assert (await browser.open("/console/payments/pay_none")).status == 404


async def test_a_dead_letter_is_tried_again_or_left_out_with_a_reason(api: Api, browser: Browser) -> None:
    order = await paid(api)
    event_id = await park(api, order, f"{EVIL} row 4711")
    page = await browser.open("/console/dead-letters")
    assert event_id in page.text
    assert "<script>" not in page.answer.text
    assert "1 event(s) parked" in (await browser.open("/console")).text
    form = page.form("/console/dead-letters/orders/retry")
    page = await browser.send(form)
    assert "It goes on" in page.text
    assert event_id not in page.text
    assert (await browser.send(form)).status == 200  # a double click

    event_id = await park(api, await paid(api), "it cannot be applied")
    path = f"/console/dead-letters/orders/{event_id}/skip"
    assert path in (await browser.open("/console/dead-letters")).links
    page = await browser.open(path)
    form = page.form(path)
    assert (await browser.send(form, reason="  ")).status == 400
    page = await browser.send(form, reason="told by the bank")
    assert "left out" in page.text
    page = await browser.send((await browser.open(path)).form(path), reason="told by the bank")
    assert (page.status, "event_not_held" in page.text) == (409, True)
    assert (await browser.open("/console/dead-letters/nobody/x/skip")).status == 404


async def test_stock_is_counted_once_and_against_what_was_seen(api: Api, browser: Browser) -> None:
    page = await browser.open("/console/stock")
    track = page.form("/console/stock/count")
    page = await browser.send(track, sku=EVIL, onHand="5")
    assert "The stock is counted." in page.text
    page = await browser.open("/console/stock")
    assert EVIL in page.text
    form = page.form("/console/stock/count")
    assert form.fields["sku"] == EVIL
    both = await asyncio.gather(*(browser.send(form, onHand="7") for _ in range(2)))
    assert {one.status for one in both} <= {200, 409}
    assert (await browser.send(form, onHand="7")).status == 200  # the same answer again
    stale = {**form.fields, "key": "0" * 26}
    form.fields = stale
    page = await browser.send(form, onHand="9")
    assert (page.status, "version_stale" in page.text) == (412, True)
    item = await api.container.orders.get_stock(EVIL)
    assert (item.on_hand, item.version) == (7, 2)
    page = await browser.send(track, sku="TEA", onHand="minus one")
    assert page.status in (400, 422)


async def test_webhooks_are_shown_and_processed_again(
    api: Api,
    browser: Browser,
    open_browser: OpenBrowser,
    gateway: FakeGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("entrypoints.console.webhooks.PAGE", 3)
    now = api.container.clock.now()
    async with api.container.payments.list_webhooks.unit_of_work() as uow:
        for number in range(4):
            await uow.webhooks.insert(
                StoredWebhook(
                    gateway=gateway.name,
                    event_id=f"evt_{number:02}",
                    type="charge.strange",
                    created_at=now,
                    received_at=now - timedelta(minutes=number),
                    body=b'{"id": "evt", "type": "charge.strange", "marked": 1}' if number < 2 else None,
                    intent_id=None,
                    payment_id=None,
                    outcome=WebhookOutcome.IGNORED,
                    is_known=False,
                )
            )
        await uow.commit()
    page = await browser.open("/console/webhooks?outcome=IGNORED")
    assert "evt_00" in page.text
    assert "evt_03" not in page.text
    assert "marked" not in page.answer.text
    (more,) = [one for one in page.links if "cursor=" in one]
    assert "evt_03" in (await browser.open(more)).text
    form = page.form(f"/console/webhooks/{gateway.name}/evt_00/replay")
    assert "It was processed again." in (await browser.send(form)).text
    form.action = form.action.replace("evt_00", "evt_02")
    form.fields["key"] = "0" * 26
    page = await browser.send(form)
    assert (page.status, "its body was removed" in page.text) == (409, True)
    reader = open_browser()
    await reader.sign_in(api.token(*READER))
    assert "Process again" not in (await reader.open("/console/webhooks")).text


async def test_a_delivery_is_sent_again(api: Api, browser: Browser) -> None:
    await execute(
        api,
        "INSERT INTO orders.webhook_endpoint (endpoint_id, url, event_types, secret, created_at, updated_at)"
        " VALUES ('whe_1', 'https://hooks.example/marked-path?key=marked', '[\"*\"]', 'whsec_marked', now(), now())",
    )
    await execute(
        api,
        "INSERT INTO orders.webhook_delivery (delivery_id, endpoint_id, event_id, event_type, order_id, body,"
        " created_at, status, tries, attempts, finished_at) VALUES ('whd_1', 'whe_1', 'evt_1', 'PaymentSucceeded',"
        " 'ord_1', '{\"marked\": \"body\"}', now(), 'FAILED', 0, '[]', now())",
    )
    page = await browser.open("/console/endpoints")
    assert "https://hooks.example/…" in page.text
    page = await browser.open("/console/endpoints/whe_1?status=FAILED")
    assert "marked" not in page.answer.text
    form = page.form("/console/endpoints/whe_1/deliveries/whd_1/replay")
    page = await browser.send(form)
    assert "It is sent again now." in page.text
    assert "pending" in page.text
    assert (await browser.send(form)).status == 200
    assert (await browser.open("/console/endpoints/whe_none")).status == 404


async def test_what_the_audit_log_tells(api: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrypoints.console.audit.PAGE", 2)
    entry = AuditEntry(
        at=api.container.clock.now(),
        action="stock.count",
        subject="ada",
        scopes=("operations:write",),
        object_type="sku",
        object_id="TEA",
        reason=EVIL,
        before={"onHand": 4},
        after={"onHand": 7},
    )
    for _ in range(3):
        async with api.container.orders.list_orders.unit_of_work() as uow:
            await uow.audit.append(entry)
            await uow.commit()
    page = await browser.send((await browser.open("/console/audit")).form("/console/audit"), subject="ada")
    for said in ("orders 3", "stock.count", "before: onHand", EVIL):
        assert said in page.text
    assert "orders 1 " not in page.text
    (more,) = [one for one in page.links if "cursor=" in one]
    assert "orders 1 " in (await browser.open(more)).text
    assert "There is none." in (await browser.open("/console/audit?objectId=CUP")).text


async def test_the_ledger_and_where_the_books_do_not_agree(api: Api, browser: Browser) -> None:
    difference = Difference(
        type=FindingType.ORDER_ALTERED,
        object_id="ord_1",
        order_id="ord_1",
        payment_id="pay_1",
        expected={"amountPaid": 10},
        found={"amountPaid": EVIL},
    )
    now = api.container.clock.now()
    async with api.container.reconciliation.unit_of_work() as uow:
        await uow.findings.add(Finding.of(difference, "fnd_1", Action.FLAG, now))
        await uow.commit()
    page = await browser.open("/console")
    assert "open findings 1" in page.text
    page = await browser.open("/console/findings?status=OPEN&type=ORDER_ALTERED&orderId=ord_1")
    for said in ("order altered", "fnd_1", f"amountPaid {EVIL}"):
        assert said in page.text
    assert {"/console/orders/ord_1", "/console/payments/pay_1"} <= set(page.links)
    form = page.form("/console/findings/fnd_1/settle")
    page = await browser.send(form, comment="agreed with the bank")
    assert "The finding is settled" in page.text
    assert "resolved by operator: agreed with the bank" in page.text
    assert (await browser.send(form, comment="agreed with the bank")).status == 200
    assert "fnd_1" not in (await browser.open("/console/findings?status=REPAIRED")).text

    order = await paid(api)
    page = await browser.open(f"/console/ledger?orderId={order['orderId']}&account=revenue")
    for said in ("gateway clearing", "revenue", "27.47 EUR", "-27.47 EUR"):
        assert said in page.text
    assert f"/console/payments/{order['payment']['paymentId']}" in page.links
    assert "There is none." in (await browser.open("/console/ledger?orderId=ord_none")).text


async def everything(browser: Browser) -> list[Page]:
    """Every page that links lead to, from the first on."""
    seen: dict[str, Page] = {}
    wanted = ["/console"]
    while wanted:
        path = wanted.pop()
        if path not in seen and path.startswith("/console"):
            seen[path] = await browser.open(path)
            wanted += seen[path].links
    return list(seen.values())


async def test_what_clients_wrote_is_text_and_nothing_else(api: Api, browser: Browser) -> None:
    lines = [{**CART["lines"][0], "sku": EVIL[:100], "name": EVIL}]
    user = EVIL
    order = await paid(api, lines=lines, metadata={EVIL[:40]: EVIL}, userId=user)
    await park(api, order, EVIL)
    canceled = await api.order(lines=lines, userId=user)
    answer = await api.post(f"/v1/orders/{canceled['orderId']}/cancel", {"reason": EVIL}, key="cancel")
    assert answer.status_code == 200, answer.text
    pages = await everything(browser)
    assert len(pages) > 10
    shown = 0
    for page in pages:  # each was read strictly: a tag of theirs would be a fault
        shown += EVIL in page.text
        assert "<img src=x" not in page.answer.text
        assert "62615533" not in page.text  # the product
    assert shown >= 3
    for path in (f"/console/orders?userId={EVIL}", f"/console/orders?done={EVIL}", f"/console/{EVIL}"):
        page = await browser.open(path)
        assert "<script>alert" not in page.answer.text


async def test_no_page_shows_secrets_or_personal_data(api: Api, browser: Browser) -> None:
    order = await paid(api, metadata={"note": "Marked metadata"})
    await paid(api, "pm_card_authenticationRequired")
    await refund(api, order, "torn")
    secrets = [token for token in browser.http.cookies.values() if token]
    async with api.container.payments.engine.connect() as connection:
        secrets += list(await connection.scalars(text("SELECT client_secret FROM payments.payment")))
    assert len(secrets) == 3
    pages = await everything(browser)
    assert any("m…@m….example" in page.text for page in pages)
    for page in pages:
        written = unquote(page.answer.text)
        for secret in (*secrets, EMAIL, "Marked", "M4RK3D"):
            assert secret not in written, (page.answer.url, secret)


async def test_without_users_any_only_ones_own_is_there(api: Api, open_browser: OpenBrowser) -> None:
    own, other = await paid(api, userId="u_1"), await paid(api, userId="u_2")
    browser = open_browser()
    await browser.sign_in(api.token("orders:read", "payments:read", "operations:read", sub="u_1"))
    links = (await browser.open("/console/orders")).links
    assert f"/console/orders/{own['orderId']}" in links
    assert f"/console/orders/{other['orderId']}" not in links
    assert (await browser.open(f"/console/orders/{other['orderId']}")).status == 404
    assert (await browser.open(f"/console/payments/{other['payment']['paymentId']}")).status == 404
