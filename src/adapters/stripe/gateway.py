"""The PaymentGateway port on Stripe's API, through the official package's async client."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import stripe

from adapters.stripe import limits, line_rules, lists, params
from adapters.stripe.balance import balance_page, gateway_balances, payout, payout_page
from adapters.stripe.descriptors import check_suffix
from adapters.stripe.errors import translate
from adapters.stripe.saved_methods import method_page
from adapters.stripe.snapshots import (
    Unreadable,
    dispute_snapshot,
    intent_snapshot,
    metadata_of,
    object_id,
    refund_snapshot,
)
from adapters.stripe.transport import Transport
from domain.payments.balance import BalancePage, GatewayBalance, Payout
from domain.payments.gateway import (
    Customer,
    DisputeSnapshot,
    FutureUsage,
    GatewayMethod,
    GatewayRefused,
    GatewayRequest,
    GatewayUnknown,
    GatewayUnreadable,
    IntentDraft,
    IntentSnapshot,
    RefundSnapshot,
)
from domain.payments.gateway_lists import LISTED_AT_ONCE, EventPage, ListPage
from domain.payments.line_data import LineCheck
from domain.payments.saved_method import MethodPage
from domain.shared.errors import Malformed

STRIPE_VERSION = "2026-10-28.endive"
"""The API version that every request names, so that an upgrade of the package or of the account
changes nothing by itself. The tests hold it equal to the package's, whose types check our requests."""

_CLOCK_SKEW = timedelta(minutes=5)
"""How far Stripe's clock may be behind ours in `find_intent`."""

_TOKEN = re.compile(r"[A-Za-z0-9_]{1,255}")

_Read = TypeVar("_Read")


class StripeGateway:
    """See `domain.payments.gateway.PaymentGateway`; every coroutine raises GatewayUnknown or GatewayRefused."""

    def __init__(
        self,
        *,
        api_key: str,
        api_base: str = stripe.DEFAULT_API_BASE,
        timeout_seconds: float = 20.0,
        lookup_retries: int = 2,
        multicapture: bool = False,
        descriptor_prefix: str | None = None,
        name: str = "stripe",
    ) -> None:
        """`timeout_seconds` bounds a call as a whole, its retries included.

        `lookup_retries` go to calls that move no money. Those that do are never repeated here:
        the operation that is saved before each of them owns its repetition.
        `multicapture` asks for captures in parts on manual payments, which Stripe refuses to
        accounts that do not have them (https://docs.stripe.com/payments/multicapture).
        `descriptor_prefix` is the account's own part of statement descriptors, as the Dashboard has it.
        """
        self.name = name
        self._api_key = api_key
        self._timeout_seconds = timeout_seconds
        self._lookup_retries = lookup_retries
        self._multicapture = multicapture
        self._descriptor_prefix = descriptor_prefix
        self._http = Transport(api_base, timeout_seconds)
        self._client = stripe.StripeClient(
            api_key,
            stripe_version=STRIPE_VERSION,
            base_addresses={"api": api_base.rstrip("/")},
            http_client=self._http,
            max_network_retries=0,
        )
        # Below this level the package logs whole requests and answers, personal data included.
        log = logging.getLogger("stripe")
        log.setLevel(max(log.level, logging.INFO))

    async def check(self) -> None:
        await self._look_up(params.INTENTS_PATH, {"limit": 1})

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close_async()

    def check_amount(self, amount: int, currency: str) -> None:
        limits.check_amount(amount, currency)

    def check_lines(self, draft: IntentDraft) -> LineCheck:
        return line_rules.check_lines(draft)

    def check_descriptor_suffix(self, suffix: str) -> None:
        check_suffix(suffix, prefix=self._descriptor_prefix)

    def prepare_create(self, draft: IntentDraft) -> GatewayRequest:
        return params.create_request(draft, multicapture=self._multicapture)

    def prepare_update(self, intent_id: str, draft: IntentDraft) -> GatewayRequest:
        return params.update_request(intent_id, draft)

    def prepare_confirm(
        self,
        intent_id: str,
        *,
        payment_method_token: str | None,
        return_url: str,
        setup_future_usage: FutureUsage | None = None,
        off_session: bool = False,
    ) -> GatewayRequest:
        return params.confirm_request(
            intent_id,
            payment_method_token,
            return_url,
            setup_future_usage=setup_future_usage,
            off_session=off_session,
        )

    def prepare_capture(self, intent_id: str, *, amount: int, currency: str, final: bool) -> GatewayRequest:
        return params.capture_request(intent_id, amount, currency, final)

    def prepare_cancel(self, intent_id: str, *, reason: str | None) -> GatewayRequest:
        return params.cancel_request(intent_id, reason)

    def prepare_refund(
        self,
        intent_id: str,
        *,
        refund_id: str,
        attempt: int = 1,
        payment_id: str,
        order_id: str,
        amount: int,
        currency: str,
        reason: str,
    ) -> GatewayRequest:
        return params.refund_request(
            intent_id,
            refund_id=refund_id,
            attempt=attempt,
            payment_id=payment_id,
            order_id=order_id,
            amount=amount,
            currency=currency,
            reason=reason,
        )

    async def execute(self, request: GatewayRequest, idempotency_key: str) -> IntentSnapshot | RefundSnapshot:
        try:
            answer = await self._call("post", request.path, request.params, idempotency_key=idempotency_key)
        except stripe.CardError as declined:
            return await self._declined(request, declined)
        if request.path == params.REFUNDS_PATH:
            return self._read(refund_snapshot, answer, request.path)
        return self._read(intent_snapshot, answer, request.path)

    async def get_intent(self, intent_id: str) -> IntentSnapshot:
        path = params.intent_path(intent_id)
        answer = await self._look_up(path, {"expand": list(params.EXPAND_CHARGE)})
        return self._read(intent_snapshot, answer, path)

    async def find_intent(self, payment_id: str, *, created_after: datetime) -> IntentSnapshot | None:
        since = int((created_after - _CLOCK_SKEW).timestamp())
        async for intent in self._list(params.INTENTS_PATH, {"created": {"gte": since}}):
            if self._names(intent, params.PAYMENT_ID, payment_id):
                # The list's page may be older than this moment, and does not expand the charge.
                return await self.get_intent(str(intent["id"]))
        return None

    async def find_refund(self, intent_id: str, refund_id: str, attempt: int = 1) -> RefundSnapshot | None:
        async for refund in self._list(params.REFUNDS_PATH, {"payment_intent": intent_id}):
            if self._names(refund, params.REFUND_ID, refund_id):
                found = self._read(refund_snapshot, refund, params.REFUNDS_PATH)
                if found.attempt == attempt:
                    return found
        return None

    async def get_dispute(self, gateway_dispute_id: str) -> DisputeSnapshot:
        path = f"{lists.DISPUTES_PATH}/{quote(gateway_dispute_id, safe='')}"
        return self._read(dispute_snapshot, await self._look_up(path, {}), path)

    async def list_events(self, *, after: str | None, since: datetime) -> EventPage:
        if after is None:
            listed = [event async for event in self._list(lists.EVENTS_PATH, lists.events_since(since))]
            return lists.read_events(listed, more=False)
        return lists.read_events(*await self._page(lists.EVENTS_PATH, lists.events_behind(after)))

    async def list_intents(self, *, since: datetime, until: datetime, after: str | None) -> ListPage:
        query = lists.range_query(since, until, after)
        return lists.read_page(intent_snapshot, *await self._page(params.INTENTS_PATH, query))

    async def list_refunds(self, *, since: datetime, until: datetime, after: str | None) -> ListPage:
        query = lists.range_query(since, until, after)
        return lists.read_page(refund_snapshot, *await self._page(params.REFUNDS_PATH, query))

    async def list_disputes(self, *, since: datetime, until: datetime, after: str | None) -> ListPage:
        query = lists.range_query(since, until, after)
        return lists.read_page(dispute_snapshot, *await self._page(lists.DISPUTES_PATH, query))

    async def get_refund(self, gateway_refund_id: str) -> RefundSnapshot:
        path = f"{params.REFUNDS_PATH}/{quote(gateway_refund_id, safe='')}"
        return self._read(refund_snapshot, await self._look_up(path, {}), path)

    async def list_balance_transactions(
        self,
        *,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        payout_id: str | None = None,
        after: str | None = None,
        limit: int = LISTED_AT_ONCE,
    ) -> BalancePage:
        created = {
            name: int(time.timestamp())
            for name, time in (("gte", created_from), ("lt", created_before))
            if time is not None
        }
        query = {
            "limit": limit,
            **({"created": created} if created else {}),
            **({"payout": payout_id} if payout_id else {}),
            **({"starting_after": after} if after else {}),
        }
        path = "/v1/balance_transactions"
        return self._read(balance_page, await self._look_up(path, query), path)

    async def find_payout(self, payout_id: str) -> Payout | None:
        if not _TOKEN.fullmatch(payout_id):
            return None  # Stripe makes no such ids, and a path must not be made of one.
        path = f"/v1/payouts/{quote(payout_id, safe='')}"
        try:
            return self._read(payout, await self._look_up(path, {}), path)
        except GatewayRefused as refused:
            if refused.code == "resource_missing":
                return None
            raise

    async def list_payouts(self, *, limit: int) -> Sequence[Payout]:
        path = "/v1/payouts"
        return self._read(payout_page, await self._look_up(path, {"limit": limit}), path)

    async def get_balance(self) -> Sequence[GatewayBalance]:
        path = "/v1/balance"
        return self._read(gateway_balances, await self._look_up(path, {}), path)

    async def create_customer(self, user_id: str, customer: Customer | None, idempotency_key: str) -> str:
        path = "/v1/customers"
        answer = await self._look_up(
            path, params.customer_params(user_id, customer), method="post", idempotency_key=idempotency_key
        )
        if answer.get("object") != "customer" or not isinstance(answer.get("id"), str):
            raise GatewayUnknown(f"{path}: not a customer")
        return str(answer["id"])

    async def delete_customer(self, gateway_customer_id: str) -> None:
        path = f"/v1/customers/{quote(gateway_customer_id, safe='')}"
        try:
            await self._look_up(path, {}, method="delete")
        except GatewayRefused as refused:
            if refused.code != "resource_missing":
                raise

    async def find_method(self, token: str) -> GatewayMethod | None:
        if not _TOKEN.fullmatch(token):
            return None  # Stripe makes no such tokens, and a path must not be made of one.
        path = f"/v1/payment_methods/{quote(token, safe='')}"
        try:
            answer = await self._look_up(path, {})
        except GatewayRefused as refused:
            if refused.code == "resource_missing":
                return None
            raise
        customer_id = self._read(lambda method: object_id(method, "customer"), answer, path)
        return GatewayMethod(token, customer_id)

    async def list_methods(self, gateway_customer_id: str, *, after: str | None, limit: int) -> MethodPage:
        path = f"/v1/customers/{quote(gateway_customer_id, safe='')}/payment_methods"
        query: dict[str, Any] = {"limit": limit, **({"starting_after": after} if after else {})}
        try:
            answer = await self._look_up(path, query)
        except GatewayRefused as refused:
            if refused.code != "resource_missing":
                raise
            if refused.param == "starting_after":
                raise Malformed(
                    "The page before ended in a method that is gone.", pointer="?cursor"
                ) from None
            return MethodPage([], more=False)
        return self._read(method_page, answer, path)

    async def detach_method(self, token: str) -> None:
        path = f"/v1/payment_methods/{quote(token, safe='')}/detach"
        try:
            await self._look_up(path, {}, method="post")
        except GatewayRefused:
            # Stripe refuses what is detached already, and says so in words only.
            method = await self.find_method(token)
            if method is not None and method.gateway_customer_id is not None:
                raise

    async def _declined(self, request: GatewayRequest, declined: stripe.CardError) -> IntentSnapshot:
        """The intent that a 402 is about; Stripe sends it with the error, and where not it is fetched."""
        refused = translate(declined, request.path, self._api_key)
        parts = request.path.removeprefix(params.INTENTS_PATH).strip("/").split("/")
        if isinstance(refused, GatewayUnknown) or len(parts) != 2:  # It is not an act on one intent.
            raise refused from None
        body = declined.json_body
        intent = body["error"].get("payment_intent") if isinstance(body, dict) else None
        if intent is None:
            return await self.get_intent(parts[0])
        return self._read(intent_snapshot, intent, request.path)

    @staticmethod
    def _names(listed: Mapping[str, Any], key: str, wanted: str) -> bool:
        """Whether an object in a list is ours; one that cannot be read is another program's."""
        try:
            return metadata_of(listed).get(key) == wanted
        except Unreadable:
            return False

    @staticmethod
    def _read(read: Callable[[Mapping[str, Any]], _Read], answer: Mapping[str, Any], path: str) -> _Read:
        try:
            return read(answer)
        except Unreadable as cause:
            raise GatewayUnreadable(f"{path}: {cause}") from cause

    async def _list(self, path: str, query: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """Every object of a list, page by page."""
        after: dict[str, str] = {}
        while True:
            listed, more = await self._page(path, {**query, "limit": LISTED_AT_ONCE, **after})
            for part in listed:
                yield part
            if not more:
                return
            after = {"starting_after": listed[-1]["id"]}

    async def _page(self, path: str, query: Mapping[str, Any]) -> tuple[Sequence[Mapping[str, Any]], bool]:
        """A page, and whether there are more. One that cannot be read is GatewayUnknown, never the end."""
        page = await self._look_up(path, query)
        listed, more = page.get("data"), page.get("has_more")
        if not isinstance(listed, list) or not isinstance(more, bool):
            raise GatewayUnknown(f"{path}: not a list")
        if not all(isinstance(part, Mapping) and isinstance(part.get("id"), str) for part in listed):
            raise GatewayUnknown(f"{path}: a list of something else")
        if more and not listed:
            raise GatewayUnknown(f"{path}: an empty page before the last")
        return listed, more

    async def _look_up(
        self, path: str, query: Mapping[str, Any], *, method: str = "get", idempotency_key: str | None = None
    ) -> Mapping[str, Any]:
        """A call that moves no money, which may be repeated at once; a 402 to it is a refusal as any other."""
        try:
            return await self._call(
                method, path, query, idempotency_key=idempotency_key, retries=self._lookup_retries
            )
        except stripe.CardError as error:
            raise translate(error, path, self._api_key) from None

    async def _call(
        self,
        method: str,
        path: str,
        fields: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        retries: int = 0,
    ) -> Mapping[str, Any]:
        """One call and its decoded answer. Raises stripe.CardError for a 402, else the port's two errors.

        The package's own errors are not chained: their messages quote what they could not read.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._client.raw_request_async(
                    method, path, **fields, idempotency_key=idempotency_key, max_network_retries=retries
                )
        except stripe.CardError:
            raise
        except stripe.StripeError as error:
            raise translate(error, path, self._api_key) from None
        except TimeoutError:
            raise GatewayUnknown(f"{path}: no answer within {self._timeout_seconds} s") from None
        except (AttributeError, TypeError, UnicodeDecodeError):
            # The package reads answers as Stripe writes them and trips over other JSON and other bytes.
            raise GatewayUnknown(f"{path}: an answer that cannot be read") from None
        answer: object = response.data
        if not isinstance(answer, dict):
            raise GatewayUnknown(f"{path}: an answer that is no object")
        return answer
