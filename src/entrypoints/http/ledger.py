"""`/v1/ledger`: balances and entries, for operators."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Request, get
from litestar.response.base import ASGIResponse

from domain.payments.ledger import Account, LedgerEntry
from domain.payments.ledger_ports import EntryFilter
from domain.shared.callers import Caller
from entrypoints.http.answers import respond, result
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route
from entrypoints.http.queries import decode_cursor, page_of, read_query
from entrypoints.http.schemas.ledger import (
    BalanceAnswer,
    BalanceList,
    EntryAnswer,
    EntryPage,
    ListBalancesQuery,
    ListEntriesQuery,
    PostingAnswer,
)

# Microseconds since 1970, and the entry's id: pages go by both.
PLACE = re.compile(r"([0-9]{1,17})\.([0-9a-f]{32})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

BALANCE = BalanceAnswer(
    account=Account.GATEWAY_CLEARING,
    gateway="stripe",
    currency="EUR",
    debits=4900,
    credits=472,
    amount=4428,
)
ENTRY = EntryAnswer(
    entry_id="019ab03d-8a3e-7cc1-a2f4-6f5f1a2b3c4d",
    kind="REFUND",
    source="019ab03d-8a3e-7cc1-a2f4-6f5f1a2b3c4d",
    gateway="stripe",
    gateway_object="re_3SxExampleExample",
    payment_id="pay_01k6y3x8q2e3r9v0s7t5w1z4ab",
    order_id="ord_01k6y3x8q2e3r9v0s7t5w1z4ab",
    posted_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    postings=[
        PostingAnswer(account=Account.REFUNDS, currency="EUR", amount=300),
        PostingAnswer(account=Account.GATEWAY_CLEARING, currency="EUR", amount=-300),
    ],
)
BALANCES = Operation(
    operation_id="listLedgerBalances",
    tag="Ledger",
    summary="What is on each account, now or at a time",
    scopes=("operations:read",),
    query=ListBalancesQuery,
    answer=BalanceList,
    answer_example=BalanceList(items=[BALANCE], next_cursor=None),
)
ENTRIES = Operation(
    operation_id="listLedgerEntries",
    tag="Ledger",
    summary="What was posted, oldest first",
    description="Each entry is one money fact by double entry, posted once and never changed.",
    scopes=("operations:read",),
    query=ListEntriesQuery,
    answer=EntryPage,
    answer_example=EntryPage(items=[ENTRY], next_cursor=None),
)


@get("/v1/ledger/balances", **route(BALANCES))
async def list_balances(request: Request[Caller, Any, Any]) -> ASGIResponse:
    query = read_query(request, ListBalancesQuery)
    found = await container_of(request.app).payments.ledger.read.balances(
        before=query.at, account=query.account, currency=query.currency
    )
    items = [
        BalanceAnswer(
            account=one.account,
            gateway=one.gateway,
            currency=one.currency,
            debits=one.debits,
            credits=one.credits,
            amount=one.amount,
        )
        for one in found
    ]
    return respond(result(BalanceList(items=items, next_cursor=None)))


@get("/v1/ledger/entries", **route(ENTRIES))
async def list_entries(request: Request[Caller, Any, Any]) -> ASGIResponse:
    query = read_query(request, ListEntriesQuery)
    wanted = EntryFilter(account=query.account, order_id=query.order_id, payment_id=query.payment_id)
    found = await container_of(request.app).payments.ledger.read.page(
        wanted, after=place_of(decode_cursor(query.cursor, form=PLACE)), limit=query.limit + 1
    )
    page, next_cursor = page_of(found, query.limit, cursor_of)
    return respond(result(EntryPage(items=[_answer(one) for one in page], next_cursor=next_cursor)))


ROUTES = [list_balances, list_entries]


def cursor_of(entry: LedgerEntry) -> str:
    since = entry.posted_at - _EPOCH
    microseconds = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
    return f"{microseconds}.{entry.entry_id.hex}"


def place_of(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    microseconds, _, name = cursor.partition(".")
    return _EPOCH + timedelta(microseconds=int(microseconds)), UUID(hex=name)


def _answer(entry: LedgerEntry) -> EntryAnswer:
    return EntryAnswer(
        entry_id=str(entry.entry_id),
        kind=entry.kind.value,
        source=entry.source,
        gateway=entry.gateway,
        gateway_object=entry.gateway_object,
        payment_id=entry.payment_id,
        order_id=entry.order_id,
        posted_at=entry.posted_at,
        postings=[
            PostingAnswer(account=one.account, currency=one.currency, amount=one.amount)
            for one in entry.postings
        ],
    )
