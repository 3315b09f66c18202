"""Bodies and answers of the inventory calls."""

from typing import Annotated

from msgspec import Meta

from entrypoints.http.queries import Cursor, Limit
from entrypoints.http.schemas.values import Answered, Strict

Pieces = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class CountStockBody(Strict):
    on_hand: Pieces
    """How many there are, those that orders have reserved included."""


class ListStockQuery(Strict):
    limit: Limit = 20
    cursor: Cursor | None = None


class StockAnswer(Answered):
    """What there is of a SKU, in pieces."""

    sku: str
    on_hand: int
    reserved: int
    """Held by orders that are not shipped yet."""
    available: int
    """What the next order can have: `onHand` less `reserved`."""


class StockPage(Answered):
    items: list[StockAnswer]
    next_cursor: str | None
