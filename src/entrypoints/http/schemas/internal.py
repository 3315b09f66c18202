"""Bodies and answers of the calls that one service makes to the other."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from domain.shared.statements import PaymentStatement
from domain.shared.timeline import TimelineEntry
from entrypoints.http.schemas.payments import ConfirmPaymentBody, CreateIntentBody
from entrypoints.http.schemas.values import Amount, AmountOrZero, Answered, OrderId, PaymentId, Reason, Strict

RequestId = Annotated[
    str, Meta(pattern=r"^[0-9A-Za-z-]{1,60}\Z", description="The caller's own id of what it asks for.")
]
Stream = Annotated[str, Meta(min_length=1, max_length=255)]
MAX_EVENTS = 1000


class PutPaymentBody(CreateIntentBody, kw_only=True):
    amount: AmountOrZero  # too small is for the gateway's rules to say
    confirm: bool
    """Whether it is confirmed at once."""
    off_session: bool = False


class PutConfirmationBody(ConfirmPaymentBody):
    pass


class PutCancellationBody(Strict):
    reason: Reason | None = None
    gives_way: bool = False
    """Leave a payment alone that somebody is at work on."""


class PutRefundBody(Strict):
    payment_id: PaymentId
    reason: Reason
    amount: Amount | None = None
    """By default all that is left."""


class StoryAnswer(Answered):
    entries: list[TimelineEntry]


Ids = Annotated[list[OrderId], Meta(max_length=1000)]
PageLimit = Annotated[int, Meta(ge=1, le=10_000)]


class StatementsOfOrdersBody(Strict):
    order_ids: Ids


class StatementsPageBody(Strict):
    after: Annotated[str, Meta(max_length=64)]
    since: datetime | None
    until: datetime | None
    limit: PageLimit


class ChangedPaymentsBody(Strict):
    after: Annotated[str, Meta(max_length=64)] | None
    before: datetime
    limit: PageLimit


class StatementsAnswer(Answered):
    statements: list[PaymentStatement]


class LoggedEventAnswer(Answered):
    id: UUID
    topic: str
    stream: str
    sequence: int | None
    type: str
    payload: str
    headers: dict[str, str]


class LoggedEventsAnswer(Answered):
    events: list[LoggedEventAnswer]


class EventKeyBody(Strict):
    id: UUID
    stream: Stream
    sequence: Annotated[int, Meta(ge=1)] | None


class CompareBody(Strict):
    events: Annotated[list[EventKeyBody], Meta(max_length=MAX_EVENTS)]


class CompareAnswer(Answered):
    missing: list[UUID]
    applied: dict[str, int]
    """By stream, the number of the last applied event."""


class ForksBody(Strict):
    streams: Annotated[dict[Stream, Annotated[str, Meta(max_length=1000)]], Meta(max_length=MAX_EVENTS)]
    """Each with its cause."""


class EventBody(Strict):
    event_id: Annotated[str, Meta(min_length=1, max_length=64)]
    event_type: Annotated[str, Meta(min_length=1, max_length=64)]
    order_id: Annotated[str, Meta(max_length=64)]
    body: Annotated[str, Meta(max_length=512 * 1024)]
    """The CloudEvent's JSON."""


class WebhookEventsBody(Strict):
    events: Annotated[list[EventBody], Meta(max_length=MAX_EVENTS)]


class DoneAnswer(Answered):
    """Nothing more to tell."""
