"""The customers of the demo: each journey is one order from cart to its last status."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from adapters.system.clock import SystemClock
from domain.shared.money import Currency
from entrypoints.local.demo.client import Api, Json, Unexpected, send_patiently
from entrypoints.local.demo.stock import Stock
from entrypoints.local.ready import Ready

# All customers together ask for their orders so often, lest asking be what the system is busy with.
POLLS_PER_SECOND = 200
STATUS_SECONDS = 120.0

EUR = Currency("EUR", 2)
# Paid for; fulfilment may have begun already.
PAID = frozenset({"PAID", "PROCESSING_FULFILLMENT"})


@dataclass
class Shop:
    """What a journey needs: the API in the customer's name and in those of the shop's own services."""

    customer: Api
    service: Api
    refunder: Api
    stock: Stock
    client: httpx.AsyncClient
    concurrency: int

    @classmethod
    def of(cls, ready: Ready, client: httpx.AsyncClient, concurrency: int) -> "Shop":
        def api(name: str) -> Api:
            return Api(client, ready.api_url, ready.tokens[name])

        stock = Stock(api("operator"))
        return cls(api("customer"), api("service"), api("refunder"), stock, client, concurrency)

    async def open(self, orders: int) -> None:
        """Count the goods, more than so many orders can want. Raises Unexpected."""
        for sku, _, _ in _GOODS:
            await self.stock.count(self.stock.sku(sku), 10 * orders)


@dataclass
class Journey:
    """One order's way. `amounts` are in the currency's minor unit and fill in as it goes."""

    number: int
    kind: str
    order: Json = field(default_factory=dict)
    address: str = ""
    """Where its customer's mails go: nobody else's go there."""
    expected: Collection[str] = ()
    captured: int = 0
    refunded: int = 0
    told: list[str] = field(default_factory=list)
    """How the mails begin that the customer must be sent, each once."""
    reached_at: datetime | None = None
    """When the client saw the last status that it waited for."""

    @property
    def order_id(self) -> str:
        return str(self.order["orderId"])

    @property
    def total(self) -> int:
        return int(self.order["totalAmount"])


Way = Callable[[Shop, Journey], Awaitable[None]]


async def run_journey(shop: Shop, journey: Journey) -> None:
    """Walk this journey to its end. Raises Unexpected where the system answers something else."""
    journey.order = await shop.customer.post("/v1/orders", await _cart(journey, shop.stock))
    await WAYS[journey.kind](shop, journey)


async def paid(shop: Shop, journey: Journey) -> None:
    """A card that simply works."""
    await _confirm(shop, journey, "pm_card_visa")
    await _reach_paid(shop, journey)


async def declined_then_paid(shop: Shop, journey: Journey) -> None:
    """The bank says no; the customer takes another card for the same order."""
    await _confirm(shop, journey, "pm_card_visa_chargeDeclined")
    await _reach(shop, journey, {"PAYMENT_FAILED"})
    journey.order = await shop.customer.post(
        f"/v1/orders/{journey.order_id}/payments", {"paymentMethodToken": "pm_card_visa"}
    )
    await _reach_paid(shop, journey)


async def declined(shop: Shop, journey: Journey) -> None:
    """The bank says no and the customer leaves."""
    await _confirm(shop, journey, "pm_card_visa_chargeDeclinedInsufficientFunds")
    await _reach(shop, journey, {"PAYMENT_FAILED"})
    journey.told.append("Your payment for order")


async def authenticated(shop: Shop, journey: Journey) -> None:
    """3-D Secure: the customer proves on the bank's page that it is them."""
    await _confirm(shop, journey, "pm_card_authenticationRequired")
    await _authenticate(shop, journey, "complete")
    await _reach_paid(shop, journey)


async def authentication_failed(shop: Shop, journey: Journey) -> None:
    """3-D Secure: the customer cannot prove it."""
    await _confirm(shop, journey, "pm_card_authenticationRequired")
    await _authenticate(shop, journey, "fail")
    await _reach(shop, journey, {"PAYMENT_FAILED"})
    journey.told.append("Your payment for order")


async def captured_by_hand(shop: Shop, journey: Journey) -> None:
    """The money is held first and taken once the shop is ready to ship."""
    await _confirm(shop, journey, "pm_card_visa", captureMethod="MANUAL")
    await _reach(shop, journey, {"AUTHORIZED"})
    payment_id = journey.order["payment"]["paymentId"]
    await shop.service.post(f"/v1/payments/{payment_id}/capture", {})
    await _reach_paid(shop, journey)


async def partially_refunded(shop: Shop, journey: Journey) -> None:
    """Paid, and a part of it given back."""
    await paid(shop, journey)
    await _refund(shop, journey, journey.total // 3)
    await _reach(shop, journey, {"PARTIALLY_REFUNDED"})


async def canceled(shop: Shop, journey: Journey) -> None:
    """Paid, and called off by the shop before it was shipped: all of it is given back."""
    await paid(shop, journey)
    path = f"/v1/orders/{journey.order_id}/cancel"
    journey.order = await shop.refunder.post(path, {"reason": "the pot broke in the warehouse"})
    await _reach(shop, journey, {"CANCELED"})
    journey.refunded = journey.total
    journey.told = ["Your order"]


async def fully_refunded(shop: Shop, journey: Journey) -> None:
    """Paid, and given back in two parts."""
    await paid(shop, journey)
    await _refund(shop, journey, journey.total // 3)
    await _refund(shop, journey, journey.total - journey.total // 3)
    journey.told.remove("Payment received")  # which is not told any more where the refund is faster
    await _reach(shop, journey, {"REFUNDED"})


async def sold_out_then_shipped(shop: Shop, journey: Journey) -> None:
    """The last one is gone at the checkout; more come in, and the order is paid and shipped."""
    path = f"/v1/orders/{journey.order_id}/confirm"
    await shop.customer.refused(path, {"paymentMethodToken": "pm_card_visa"}, "stock_insufficient")
    await shop.stock.count(_last_piece(journey, shop.stock), 1)
    await paid(shop, journey)
    journey.order = await shop.service.post(f"/v1/orders/{journey.order_id}/fulfil", {})
    await _reach(shop, journey, {"FULFILLED"})


WAYS: dict[str, Way] = {
    "paid": paid,
    "declined, then paid": declined_then_paid,
    "3-D Secure": authenticated,
    "manual capture": captured_by_hand,
    "sold out, then shipped": sold_out_then_shipped,
    "partial refund": partially_refunded,
    "canceled": canceled,
    "declined": declined,
    "3-D Secure failed": authentication_failed,
    "full refund": fully_refunded,
}
TOUR = tuple(WAYS)[:7]

_GOODS = (
    ("TEA-1", "Green tea, 100 g", 850),
    ("MUG-2", "Stoneware mug", 1490),
    ("POT-3", "Cast-iron teapot", 5900),
    ("TIN-4", "Tea tin", 720),
)


def _last_piece(journey: Journey, stock: Stock) -> str:
    """The SKU of what only this customer wants."""
    return stock.sku(f"SET-{journey.number}")


async def _cart(journey: Journey, stock: Stock) -> Json:
    """The cart of this customer: the same one in each run."""
    journey.address = f"customer-{journey.number}-{stock.run}@example.com"
    chance = random.Random(journey.number)
    lines = [
        {"sku": stock.sku(sku), "name": name, "quantity": chance.randint(1, 3), "unitAmount": amount}
        for sku, name, amount in chance.sample(_GOODS, chance.randint(1, len(_GOODS)))
    ]
    if WAYS[journey.kind] is sold_out_then_shipped:
        sku = _last_piece(journey, stock)
        await stock.count(sku, 0)
        lines.append({"sku": sku, "name": "Tea set of a famous potter", "quantity": 1, "unitAmount": 12900})
    return {
        "currency": EUR.code,
        "userId": "u_1",
        "customer": {"name": "Ada Example", "email": journey.address},
        "lines": lines,
        "shippingAmount": 490,
        "metadata": {"demo": str(journey.number)},
    }


async def _confirm(shop: Shop, journey: Journey, method: str, **more: Any) -> None:
    path = f"/v1/orders/{journey.order_id}/confirm"
    journey.order = await shop.customer.post(path, {"paymentMethodToken": method, **more})


async def _refund(shop: Shop, journey: Journey, amount: int) -> None:
    body = {
        "paymentId": journey.order["payment"]["paymentId"],
        "amount": amount,
        "currency": EUR.code,
        "reason": "requested_by_customer",
    }
    await shop.refunder.post("/v1/refunds", body)
    journey.refunded += amount
    journey.told.append("Your refund")


async def _reach_paid(shop: Shop, journey: Journey) -> None:
    await _reach(shop, journey, PAID)
    journey.captured = journey.total
    journey.told.append("Payment received")


async def _reach(shop: Shop, journey: Journey, statuses: Collection[str]) -> None:
    """Wait until the order has one of these statuses."""
    journey.expected = statuses
    await _wait(shop, journey, lambda order: order["status"] in statuses, " or ".join(sorted(statuses)))
    journey.reached_at = SystemClock().now()


async def _wait(shop: Shop, journey: Journey, done: Callable[[Json], bool], what: str) -> None:
    try:
        async with asyncio.timeout(STATUS_SECONDS):
            while not done(journey.order):
                await asyncio.sleep(shop.concurrency / POLLS_PER_SECOND)
                journey.order = await shop.customer.get(f"/v1/orders/{journey.order_id}")
    except TimeoutError:
        raise Unexpected(
            f"{journey.order_id} ({journey.kind}) is {journey.order['status']} and did not become {what}"
            f" within {STATUS_SECONDS:g} s"
        ) from None


async def _authenticate(shop: Shop, journey: Journey, result: str) -> None:
    """Go to the bank's page as a browser would, and send its form."""

    def has_page(order: Json) -> bool:
        return bool((order["payment"] or {}).get("nextAction"))

    await _wait(shop, journey, has_page, "a payment with a next action")
    page_url = journey.order["payment"]["nextAction"]["redirectUrl"]
    page = await send_patiently(shop.client, shop.client.build_request("GET", page_url))
    button = re.search(rf'<button[^>]*name="(\w+)"[^>]*value="{result}"', page.text)
    if not page.is_success or not button:
        raise Unexpected(f"the authentication page answered {page.status_code} without its form")
    form = shop.client.build_request("POST", page_url, data={button[1]: result})
    answer = await send_patiently(shop.client, form)
    # Sent twice through a restart, the second answer is that the authentication is over.
    if answer.status_code not in (200, 303, 409):
        raise Unexpected(f"the authentication page answered {answer.status_code}")
