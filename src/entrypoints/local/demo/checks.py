"""Exactly once, checked from outside: the order, the payment, the gateway and the events of each journey."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence

import httpx
import msgspec

from entrypoints.http.schemas.timeline import ExplainAnswer
from entrypoints.local.demo.client import Api, Json, Unexpected, send_patiently
from entrypoints.local.demo.journeys import Journey
from entrypoints.local.ready import SANDBOX_KEY, Ready

AGREE_SECONDS = 60.0
POLL_SECONDS = 0.1
AT_ONCE = 8


class Auditor:
    """Reads the books of all three sides."""

    def __init__(self, ready: Ready, client: httpx.AsyncClient):
        self._client = client
        self._free = asyncio.Semaphore(AT_ONCE)
        self._sandbox_url = ready.sandbox_url
        self._mailbox_url = ready.mailbox_url
        self._service = Api(client, ready.api_url, ready.tokens["service"])
        self._operator = Api(client, ready.api_url, ready.tokens["operator"])

    async def events(self, order_id: str) -> list[Json]:
        """The payment events of one order, by payment and sequence."""
        events = [event async for event in self._operator.items("/v1/events", "after", orderId=order_id)]
        return sorted(events, key=lambda event: (event["subject"], event["sequence"]))

    async def audit(self, journeys: Sequence[Journey]) -> dict[str, list[str]]:
        """What is wrong, by order; empty when every book agrees. Raises Unexpected.

        The last effects may still be under way, so disagreement counts only once it lasts.
        """
        open_journeys = list(journeys)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + AGREE_SECONDS
        while True:
            intents = await self._intents_by_order()
            found = await asyncio.gather(
                *(self._faults(journey, intents[journey.order_id]) for journey in open_journeys)
            )
            audited = zip(open_journeys, found, strict=True)
            faults = {journey.order_id: sentences for journey, sentences in audited if sentences}
            open_journeys = [journey for journey in open_journeys if journey.order_id in faults]
            if not faults or loop.time() > deadline:
                return faults
            await asyncio.sleep(POLL_SECONDS)

    async def _faults(self, journey: Journey, intents: list[Json]) -> list[str]:
        async with self._free:
            order = await self._service.get(f"/v1/orders/{journey.order_id}")
            payments = await self._payments(journey.order_id)
            events = await self.events(journey.order_id)
            mails = await self.mails(journey)
        journey.order = order  # its latest status, for the tables
        return faults_of(journey, order, payments, intents, events, mails)

    async def explain(self, order_id: str) -> ExplainAnswer:
        """The order's timeline as operators see it. Raises Unexpected."""
        told = await self._operator.get(f"/v1/orders/{order_id}/explain")
        return msgspec.convert(told, ExplainAnswer)

    async def mails(self, journey: Journey) -> list[Json]:
        """What this journey's customer was sent, oldest first. Raises Unexpected."""
        query = {"to": journey.address, "limit": "100"}
        request = self._client.build_request("GET", self._mailbox_url, params=query)
        response = await send_patiently(self._client, request)
        if not response.is_success:
            raise Unexpected(f"the mailbox answered {response.status_code} {response.text}")
        items: list[Json] = response.json()["items"]
        return items[::-1]

    async def _payments(self, order_id: str) -> list[Json]:
        return [payment async for payment in self._service.items("/v1/payments", orderId=order_id)]

    async def _intents_by_order(self) -> defaultdict[str, list[Json]]:
        """Every payment intent that the gateway has, with its charge, by our id in its metadata."""
        found: defaultdict[str, list[Json]] = defaultdict(list)
        async for intent in self._gateway_list("payment_intents", expand="data.latest_charge"):
            found[intent["metadata"].get("orderId", "")].append(intent)
        return found

    async def _gateway_list(self, kind: str, *, expand: str) -> AsyncIterator[Json]:
        query = {"limit": "100", "expand[]": expand}
        while True:
            request = self._client.build_request(
                "GET",
                f"{self._sandbox_url}/v1/{kind}",
                params=query,
                headers={"Authorization": f"Bearer {SANDBOX_KEY}"},
            )
            response = await send_patiently(self._client, request)
            if not response.is_success:
                raise Unexpected(f"the gateway answered {response.status_code} {response.text}")
            page = response.json()
            for item in page["data"]:
                yield item
            if not page["has_more"]:
                return
            query = {**query, "starting_after": page["data"][-1]["id"]}


def faults_of(
    journey: Journey,
    order: Json,
    payments: list[Json],
    intents: list[Json],
    events: list[Json],
    mails: list[Json],
) -> list[str]:
    """Where these books disagree with the journey or with each other, each in one sentence."""
    return [
        *_order_faults(journey, order),
        *_payment_faults(journey, payments),
        *_gateway_faults(journey, payments, intents),
        *_event_faults(events),
        *_mail_faults(journey, mails),
    ]


def _order_faults(journey: Journey, order: Json) -> Iterable[str]:
    if order["status"] not in journey.expected:
        yield f"the order is {order['status']}, not {' or '.join(sorted(journey.expected))}"
    if order["amountPaid"] != journey.captured:
        yield f"the order has {order['amountPaid']} paid, not {journey.captured}"
    if order["amountRefunded"] != journey.refunded:
        yield f"the order has {order['amountRefunded']} refunded, not {journey.refunded}"
    if order["attention"] is not None:
        yield f"the order asks for attention: {order['attention']}"


def _payment_faults(journey: Journey, payments: list[Json]) -> Iterable[str]:
    if len(payments) != 1:
        yield f"there are {len(payments)} payments, not 1"
    if (captured := sum(payment["amountCaptured"] for payment in payments)) != journey.captured:
        yield f"the payments have {captured} captured, not {journey.captured}"
    if (refunded := sum(payment["amountRefunded"] for payment in payments)) != journey.refunded:
        yield f"the payments have {refunded} refunded, not {journey.refunded}"


def _gateway_faults(journey: Journey, payments: list[Json], intents: list[Json]) -> Iterable[str]:
    ours = sorted(str(payment["gatewayPaymentIntentId"]) for payment in payments)
    if ours != sorted(intent["id"] for intent in intents):
        yield f"the gateway has the intents {[intent['id'] for intent in intents]}, the payments {ours}"
    if (received := sum(intent["amount_received"] for intent in intents)) != journey.captured:
        yield f"the gateway took {received}, not {journey.captured}"
    charges = [intent["latest_charge"] for intent in intents if intent["latest_charge"]]
    if (refunded := sum(charge["amount_refunded"] for charge in charges)) != journey.refunded:
        yield f"the gateway gave back {refunded}, not {journey.refunded}"


def _event_faults(events: list[Json]) -> Iterable[str]:
    if not events:
        yield "there is no event"
    if len({event["id"] for event in events}) != len(events):
        yield "an event id occurs twice"
    by_payment: defaultdict[str, list[int]] = defaultdict(list)
    for event in events:
        by_payment[event["subject"]].append(int(event["sequence"]))
    for payment_id, sequence in by_payment.items():
        if sequence != list(range(1, len(sequence) + 1)):
            yield f"the events of {payment_id} are numbered {sequence}"


def _mail_faults(journey: Journey, mails: list[Json]) -> Iterable[str]:
    """At least once with a stable id is what mails can be, so that the same id twice counts as one."""
    for beginning in sorted(set(journey.told)):
        sent = {mail["headers"]["Message-ID"] for mail in mails if mail["subject"].startswith(beginning)}
        if len(sent) != (wanted := journey.told.count(beginning)):
            yield f"{len(sent)} mails begin with “{beginning}”, not {wanted}"
