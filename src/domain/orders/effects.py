"""What an order asks the world outside for."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class EffectType(StrEnum):
    NOTIFY_WAREHOUSE = "NotifyWarehouse"
    NOTIFY_CUSTOMER = "NotifyCustomer"
    RESTOCK = "Restock"


@dataclass(frozen=True, slots=True)
class Effect:
    """Something the world outside must be told; `about` is the event type or status that asks for it."""

    type: EffectType
    order_id: str
    about: str
    caused_by: UUID | None = None
    """The id of the event that asks for it."""
    amount: int | None = None
    """Of that event, where it tells of a refund."""
    refund_id: str | None = None
    """The refund whose goods are to be restocked."""
    goods: dict[str, int] | None = None
    """Those goods: how many of each SKU."""
