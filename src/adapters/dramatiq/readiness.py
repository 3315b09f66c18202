"""Whether the broker can be used now."""

import importlib
from typing import Any, cast

from dramatiq import Broker

from adapters.dramatiq.broker import WakingRedisBroker


def check_broker(broker: Broker) -> None:
    """Ask Redis for a sign of life, or open a connection to RabbitMQ; raises what their clients raise. Blocks."""
    if isinstance(broker, WakingRedisBroker):
        broker.client.ping()
    else:
        pika = importlib.import_module("pika")  # there, since it made this broker; an extra all the same
        pika.BlockingConnection(cast(Any, broker).parameters).close()
