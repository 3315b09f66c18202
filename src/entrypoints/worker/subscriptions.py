"""Who consumes what: each consumer, its topic, and the log that the topic's events are in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.cloudevents import order_effects, payment_events
from domain.orders.effects import EffectType


@dataclass(frozen=True, slots=True)
class Subscription:
    """`log` is the schema of the log; the inboxes of all consumers are with the orders."""

    consumer: str
    topic: str
    log: str


ORDERS = Subscription("orders", payment_events.TOPIC, "payments")
"""Lets orders follow their payments, in each payment's own order."""

EFFECTS: Mapping[EffectType, Subscription] = {
    EffectType.NOTIFY_CUSTOMER: Subscription(
        "customer", order_effects.TOPICS[EffectType.NOTIFY_CUSTOMER], "orders"
    ),
    EffectType.NOTIFY_WAREHOUSE: Subscription(
        "warehouse", order_effects.TOPICS[EffectType.NOTIFY_WAREHOUSE], "orders"
    ),
    EffectType.RESTOCK: Subscription("stock", order_effects.TOPICS[EffectType.RESTOCK], "orders"),
}
"""Who carries out which effect; effects have no order among themselves."""

SUBSCRIPTIONS = (ORDERS, *EFFECTS.values())


def consumers_by_topic() -> dict[str, tuple[str, ...]]:
    """What a publisher needs to know."""
    return {
        topic: tuple(one.consumer for one in SUBSCRIPTIONS if one.topic == topic)
        for topic in {one.topic: None for one in SUBSCRIPTIONS}
    }


def consumers_of(log: str) -> Sequence[str]:
    """Who follows this log."""
    return [one.consumer for one in SUBSCRIPTIONS if one.log == log]
