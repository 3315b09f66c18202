"""How far effects and events are: who carries out or follows which topic is known here."""

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.progress import PostgresProgress
from entrypoints.worker.subscriptions import EFFECTS, ORDERS


def progress_of(engine: AsyncEngine) -> PostgresProgress:
    """Of the order side's database."""
    return PostgresProgress(engine, {one.topic: one.consumer for one in EFFECTS.values()}, ORDERS.consumer)
