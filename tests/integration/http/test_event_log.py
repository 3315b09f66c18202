"""`GET /v1/events` answers the envelopes as they were written, though the log keeps them as jsonb."""

import json
from typing import Any

from sqlalchemy import text

from adapters.cloudevents.payment_events import decode, encode
from domain.shared.payment_events import EVENT_TYPES
from outbox import Event
from tests.integration.http.conftest import OPERATOR, Api
from tests.support.cloudevents import parsed
from tests.support.events import full_event

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_every_type_comes_out_of_the_log_as_it_went_in(api: Api) -> None:
    side = api.container.payments
    published = [full_event(kind, sequence=n) for n, kind in enumerate(EVENT_TYPES.values(), start=1)]
    written = [encode(event, lambda: TRACEPARENT) for event in published]
    async with side.engine.begin() as connection:
        await side.outbox.append(connection, written)

    async with side.engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT id, topic, stream, sequence, type, payload::text AS payload, headers::text AS headers "
                "FROM payments.outbox_event ORDER BY sequence"
            )
        )
        logged = [
            Event(
                row.id,
                row.topic,
                row.stream,
                row.sequence,
                row.type,
                row.payload.encode(),
                json.loads(row.headers),
            )
            for row in rows
        ]
    assert [decode(event) for event in logged] == published
    assert [event.headers for event in logged] == [{"traceparent": TRACEPARENT}] * len(published)

    answer = await api.get("/v1/events?limit=50", OPERATOR)
    items: list[dict[str, Any]] = answer.json()["items"]
    assert items == [json.loads(event.payload) for event in written]
    for item, event in zip(items, published, strict=True):
        read = parsed(json.dumps(item).encode())
        assert (read.get_id(), read.get_type()) == (str(event.event_id), event.type)
